// Times as the reader's clock has them.
function localTimes(part) {
  for (const time of part.querySelectorAll("time")) {
    time.title = time.dateTime;
    time.textContent = new Date(time.dateTime).toLocaleString();
  }
}

// What is live is asked for again while it is looked at.
const live = document.querySelector("[data-live]");
if (live) {
  let shown = live.innerHTML;
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(location.href).catch(() => null);
    if (answer?.status === 401) location.reload();
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.querySelector("[data-live]").innerHTML;
    if (now === shown) return;
    live.innerHTML = shown = now;
    localTimes(live);
  }, 2000);
}

localTimes(document);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
