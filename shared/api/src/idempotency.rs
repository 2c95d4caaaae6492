//! Calls that are made again: `Idempotency-Key`, by the IETF's draft.
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>

use std::time::Duration;

use errand_core::{Digest, DynNotes, Note, NoteKind, Timestamp};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::{Caller, ProblemDocument, Request, Response};

/// Marks an answer to what was done before.
#[must_use]
pub fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Marks an answer that the same call may have otherwise later, since some of what it asks for may yet pass: it is not kept.
#[must_use]
pub fn unfinished(mut response: Response) -> Response {
    response.extensions_mut().insert(Unfinished);
    response
}

#[derive(Clone, Copy)]
struct Unfinished;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a call may take before it counts as dead: longer than any function runs that answers calls.
const PATIENCE: Duration = Duration::from_secs(60);

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What is kept of a call: this as one line of JSON, and then the answer's body.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The SHA-256 of what was asked.
    fingerprint: String,
    /// The answer's status; none while the call is under way.
    status: Option<u16>,
    location: Option<String>,
    /// How many notes more the body goes on in.
    parts: usize,
}

/// What becomes of a call.
pub enum Begun<'a> {
    /// It is to be done.
    Now(Once<'a>),
    /// It was done before, with this answer.
    Before(Response),
}

/// A call that is done once.
pub struct Once<'a>(Option<Kept<'a>>);

/// A call whose answer is kept.
struct Kept<'a> {
    notes: &'a dyn DynNotes,
    /// The name of its note: made of the caller and the key, so that no caller sees another's answers.
    name: String,
    fingerprint: String,
    now: Timestamp,
}

impl<'a> Once<'a> {
    /// Begins what a call asks for, unless the same call was answered before.
    ///
    /// # Errors
    /// 422 for a key that came with another request; 409 while the first call is under way; 400 for a key that is none; 501 where there are no notes.
    pub async fn begin(
        notes: Option<&'a dyn DynNotes>,
        caller: &Caller,
        request: &Request,
        now: Timestamp,
    ) -> Result<Begun<'a>, ProblemDocument> {
        let Some(key) = key(request)? else { return Ok(Begun::Now(Self(None))) };
        let notes = notes.ok_or_else(|| {
            let detail = "answers are not kept here, so an idempotency-key cannot be honoured: the operator sets ERRAND_TABLE";
            ProblemDocument::new(StatusCode::NOT_IMPLEMENTED, detail)
        })?;
        let name = Digest::of(format!("{} {} {key}", caller.name.len(), caller.name).as_bytes()).to_string();
        let asked = [request.method().as_str().as_bytes(), b" ", request.uri().path().as_bytes(), b" ", request.body()].concat();
        let kept = Kept { notes, name, fingerprint: Digest::of(&asked).to_string(), now };
        Ok(match kept.begin().await? {
            Some(known) => Begun::Before(kept.again(&known).await?),
            None => Begun::Now(Self(Some(kept))),
        })
    }

    /// A text that is the same for each such call with this key, and for no other; none for a call without a key. Ids that are made of it are done once, even
    /// if a call dies between its work and the note of its answer.
    #[must_use]
    pub fn seed(&self) -> Option<String> {
        self.0.as_ref().map(|kept| Digest::of_parts(&[&kept.name, &kept.fingerprint]).short())
    }

    /// Keeps the answer; of a call that was refused, and so did nothing, nothing is kept, and nothing of one that is [`unfinished`]: what it did is noted under its ids.
    pub async fn end(self, answer: Result<Response, ProblemDocument>) -> Result<Response, ProblemDocument> {
        let Some(kept) = self.0 else { return answer };
        match &answer {
            Ok(response) if response.extensions().get::<Unfinished>().is_none() => {
                if let Err(error) = kept.keep(response).await {
                    // It was done. The same call again is done under the same ids, which is to say not again.
                    tracing::error!(%error, "an answer is not kept");
                }
            }
            Ok(_) | Err(_) => {
                if let Err(error) = kept.notes.delete(NoteKind::Call, &kept.name).await {
                    tracing::warn!(%error, "a call that can be made again is held for under way for a minute");
                }
            }
        }
        answer
    }
}

/// The key: a text in quotes (RFC 9651), or without, as most send it.
fn key(request: &Request) -> Result<Option<&str>, ProblemDocument> {
    let Some(value) = request.headers().get(KEY) else { return Ok(None) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        Ok(Some(key))
    } else {
        Err(ProblemDocument::new(StatusCode::BAD_REQUEST, "idempotency-key: expected 1 to 255 printable ASCII characters"))
    }
}

impl Kept<'_> {
    fn note(&self, name: String, text: String, life: Duration) -> Note {
        Note { kind: NoteKind::Call, name, text, until: Some(self.now + life) }
    }

    fn part(&self, part: usize) -> String {
        if part == 0 { self.name.clone() } else { format!("{} {part}", self.name) }
    }

    fn text(&self, head: &Head, body: &str) -> String {
        format!("{}\n{body}", serde_json::to_string(head).unwrap_or_default())
    }

    /// Takes the key for this call; answers what is known of an earlier one.
    async fn begin(&self) -> Result<Option<String>, ProblemDocument> {
        let head = Head { fingerprint: self.fingerprint.clone(), status: None, location: None, parts: 0 };
        Ok(self.notes.create(&self.note(self.part(0), self.text(&head, ""), PATIENCE), self.now).await?)
    }

    /// The answer of an earlier call.
    async fn again(&self, known: &str) -> Result<Response, ProblemDocument> {
        let lost = || {
            ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "the answer that was kept cannot be read: use another idempotency-key")
        };
        let (head, body) = known.split_once('\n').ok_or_else(lost)?;
        let head: Head = serde_json::from_str(head).map_err(|_| lost())?;
        if head.fingerprint != self.fingerprint {
            return Err(ProblemDocument::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this idempotency-key came with another request: use a new one for each",
            ));
        }
        let Some(status) = head.status else {
            return Err(ProblemDocument::new(StatusCode::CONFLICT, "the first call with this idempotency-key is under way")
                .with_header(header::RETRY_AFTER, "1"));
        };
        let mut body = body.to_owned();
        for part in 1..=head.parts {
            body.push_str(&self.notes.get(NoteKind::Call, &self.part(part), self.now).await?.ok_or_else(lost)?);
        }
        let status = StatusCode::from_u16(status).map_err(|_| lost())?;
        let mut response = replayed(crate::answer(status, "application/json", body.into_bytes()));
        if let Some(location) = head.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// Keeps an answer, its end first: whoever finds the beginning finds all of it.
    async fn keep(&self, response: &Response) -> Result<(), errand_core::StorageError> {
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let body = String::from_utf8_lossy(response.body());
        // Room for the first line.
        let pieces = pieces(&body, Note::LIMIT - 4096);
        let head =
            Head { fingerprint: self.fingerprint.clone(), status: Some(response.status().as_u16()), location, parts: pieces.len() - 1 };
        for (part, piece) in pieces.iter().enumerate().rev() {
            let text = if part == 0 { self.text(&head, piece) } else { (*piece).to_owned() };
            self.notes.put(&self.note(self.part(part), text, KEPT_FOR)).await?;
        }
        Ok(())
    }
}

/// A text in pieces of at most `size` bytes; one, when it is empty.
fn pieces(mut text: &str, size: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while text.len() > size {
        let (piece, rest) = text.split_at(text.floor_char_boundary(size));
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

#[cfg(test)]
mod tests {
    use errand_core::Notes;
    use errand_store_memory::MemoryNotes;
    use serde_json::json;

    use super::*;
    use crate::{Access, Scope, Verified};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    struct World(MemoryNotes);

    impl World {
        async fn call(
            &self,
            who: &str,
            key: &str,
            body: &str,
            now: Timestamp,
            run: impl AsyncFnOnce(Option<String>) -> Result<Response, ProblemDocument>,
        ) -> Response {
            let mut request = http::Request::post("/v1/tasks").header(KEY, key).body(body.to_owned().into()).unwrap();
            request.extensions_mut().insert(Verified(who.to_owned()));
            let caller =
                Access::new(&[("X", "y")].into_iter().collect(), None).unwrap().admit(&request, Some(Scope::Send), now).await.unwrap();
            match Once::begin(Some(&self.0), &caller, &request, now).await {
                Ok(Begun::Now(once)) => {
                    let answer = run(once.seed()).await;
                    once.end(answer).await.unwrap_or_else(Response::from)
                }
                Ok(Begun::Before(response)) => response,
                Err(problem) => problem.into(),
            }
        }
    }

    fn accepted(text: &str) -> Result<Response, ProblemDocument> {
        let mut response = crate::json(StatusCode::ACCEPTED, &json!({ "told": text }));
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/x"));
        Ok(response)
    }

    fn never(_: Option<String>) -> Result<Response, ProblemDocument> {
        panic!("it was done before")
    }

    #[tokio::test]
    async fn the_same_call_is_done_once_and_answered_alike() {
        let world = World(MemoryNotes::default());
        let long = "é".repeat(Note::LIMIT);
        let first = world.call("ann", "k1", "{}", NOW, async |_| accepted(&long)).await;
        let again = world.call("ann", "\"k1\"", "{}", NOW + KEPT_FOR - Duration::from_millis(1), async |seed| never(seed)).await;
        assert_eq!(
            (first.status(), first.body(), &first.headers()[header::LOCATION]),
            (again.status(), again.body(), &again.headers()[header::LOCATION])
        );
        assert!(again.headers().contains_key(REPLAYED) && !first.headers().contains_key(REPLAYED));
        let other = world.call("ann", "k1", "{ }", NOW, async |seed| never(seed)).await;
        assert_eq!(other.status(), 422);
        assert_eq!(world.call("bob", "k1", "{}", NOW, async |_| accepted("bob's")).await.body(), r#"{"told":"bob's"}"#);
        assert_eq!(
            world.call("ann", "k1", "{ }", NOW + KEPT_FOR, async |_| accepted("new")).await.status(),
            202,
            "a day later it is forgotten"
        );
    }

    #[tokio::test]
    async fn a_call_that_is_under_way_is_not_done_beside_itself() {
        let world = World(MemoryNotes::default());
        let mut seeds = Vec::new();
        let outer = world
            .call("ann", "k", "{}", NOW, async |seed| {
                seeds.push(seed.unwrap());
                let inner = world.call("ann", "k", "{}", NOW, async |seed| never(seed)).await;
                assert_eq!(inner.status(), 409);
                assert_eq!(inner.headers()[header::RETRY_AFTER], "1");
                // This call dies: the next one finds nobody at it after a minute, and works under the same ids.
                let heir = world.call("ann", "k", "{}", NOW + PATIENCE, async |seed| {
                    seeds.push(seed.unwrap());
                    accepted("heir")
                });
                assert_eq!(heir.await.status(), 202);
                accepted("x")
            })
            .await;
        assert_eq!((outer.status().as_u16(), seeds.len()), (202, 2));
        assert_eq!(seeds[0], seeds[1]);
    }

    #[tokio::test]
    async fn a_call_that_was_refused_can_be_made_again() {
        let world = World(MemoryNotes::default());
        let refuse = async |_: Option<String>| Err(ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "later"));
        assert_eq!(world.call("ann", "k", "{}", NOW, refuse).await.status(), 503);
        assert_eq!(world.call("ann", "k", "{}", NOW, async |_| accepted("now")).await.status(), 202);
        for wrong in ["", "\"\"", &"k".repeat(256)] {
            assert_eq!(world.call("ann", wrong, "{}", NOW, async |seed| never(seed)).await.status(), 400, "{wrong}");
        }
        assert_eq!(Notes::list(&world.0, NoteKind::Call, None).await, Ok(Vec::new()), "nothing is kept for ever");
    }
}
