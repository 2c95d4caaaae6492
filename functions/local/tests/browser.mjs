// What one does at /mail with a key, in a real browser: node browser.mjs URL KEY. playwright-core lies in the folder TEST_BROWSER.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.TEST_BROWSER}/`)("playwright-core");
const [url, key] = process.argv.slice(2);

async function send(id, subject, html) {
  const task = { id, task: "email", kwargs: { to: ["ann@example.com", `${"long.".repeat(12)}name@example.com`], subject, body: "Text.", html } };
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(`${url}/v1/tasks`, { method: "POST", headers, body: JSON.stringify(task) });
  assert.equal(answer.status, 202);
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, timezoneId: "Asia/Kolkata", locale: "en-GB" });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  const fits = async () => assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390, `${page.url()} is wider than a telephone`);

  await page.goto(`${url}/mail`);
  await page.getByLabel("A key that may read").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This key is not known, or has expired.").waitFor();
  await fits();
  await page.getByLabel("A key that may read").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("No mail yet.").waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path, cookie.value.includes(key)], [true, "Strict", "/", false]);
  assert.equal(await page.evaluate(() => document.cookie), "");

  // It comes by itself.
  const picture = "http://127.0.0.1:1/x.png";
  const html = `<!doctype html><p id=shown>before</p><script>shown.textContent = "a script ran"</script><a href="${url}/v1/health">follow</a><img src="${picture}">`;
  await send("one", "First <b>mail</b>", html);
  await send("two", "Second");
  await page.getByRole("link", { name: "First <b>mail</b>" }).waitFor();
  await page.getByRole("link", { name: "Second" }).waitFor();
  await fits();
  const [shown, meant] = await page.evaluate(() => {
    const time = document.querySelector("time");
    return [time.textContent, new Date(time.dateTime).toLocaleString()];
  });
  assert.equal(shown, meant, "times are the reader's");

  await page.getByRole("searchbox").fill("SECOND ann@example");
  await page.getByRole("button", { name: "Search" }).click();
  await page.waitForURL(/search=/);
  assert.equal(await page.locator(".mails li").count(), 1);

  // The frame runs nothing and asks nobody, but its links open.
  const failed = [];
  page.on("requestfailed", (request) => failed.push([request.url(), request.failure().errorText]));
  await page.goto(`${url}/mail`);
  await page.getByRole("link", { name: "First <b>mail</b>" }).click();
  await page.getByText("Pictures of other hosts are not loaded.").waitFor();
  await page.getByRole("link", { name: "one" }).waitFor();
  await fits();
  const frame = page.frameLocator("iframe");
  assert.equal(await frame.locator("#shown").textContent(), "before");
  const [opened] = await Promise.all([context.waitForEvent("page"), frame.getByRole("link", { name: "follow" }).click()]);
  await opened.waitForLoadState();
  assert.equal(opened.url(), `${url}/v1/health`);
  assert.equal(await opened.evaluate(() => window.opener), null);
  await opened.close();
  assert.deepEqual(failed, [[picture, "csp"]], "nobody is asked for the picture");
  const [loaded] = await Promise.all([page.waitForEvent("requestfailed"), page.getByRole("link", { name: "Load them" }).click()]);
  assert.deepEqual([loaded.url(), loaded.failure().errorText === "csp"], [picture, false]);

  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("link", { name: "Second" }).waitFor();
  assert.equal(await page.locator(".mails li").count(), 1);
  page.once("dialog", (dialog) => dialog.dismiss());
  await page.getByRole("button", { name: "Delete all" }).click();
  assert.equal(await page.locator(".mails li").count(), 1, "who says no keeps it");
  page.once("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Delete all" }).click();
  await page.getByText("No mail yet.").waitFor();

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${url}/mail`);
  await page.getByLabel("A key that may read").waitFor();
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
}
