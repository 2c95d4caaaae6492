//! What a service says of a failure, without what it repeats of the request.

/// The longest text that is told, in characters.
const LONGEST: usize = 300;

/// So many digits in a word may be the number of a telephone or a card.
const DIGITS: usize = 6;

/// A part of a word that is as long may be a token.
const TOKEN: usize = 20;

/// What opens a quotation, and what closes one: AWS opens with a grave accent and closes with an apostrophe.
const OPENING: [char; 5] = ['"', '\'', '`', '‘', '“'];
const CLOSING: [char; 5] = ['"', '\'', '`', '’', '”'];

/// What is left out.
const LEFT_OUT: &str = "…";

/// A service's own words for a failure, for logs and results. Services repeat in them what they were sent: what is quoted, and words that may be an address, a
/// URL, a number or a token, are left out as `…`; behind a colon all is, from the colon on, where one of them stands there.
#[must_use]
pub fn said(text: &str) -> String {
    let text = without_quotations(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let first = words.iter().position(|word| is_personal(word));
    let colon = first.and_then(|first| words[..first].iter().rposition(|word| word.ends_with(':')));
    let told = match colon {
        Some(colon) => format!("{} {LEFT_OUT}", words[..=colon].join(" ")),
        None => words.iter().map(|word| if is_personal(word) { LEFT_OUT } else { word }).collect::<Vec<_>>().join(" "),
    };
    match told.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}{LEFT_OUT}", &told[..end]),
        None => told,
    }
}

/// The text with each quotation left out; one that does not end is left out to the end.
fn without_quotations(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(start) = quotation(rest) {
        kept.push_str(&rest[..start]);
        kept.push_str(LEFT_OUT);
        rest = end_of_quotation(&rest[start..]);
    }
    kept + rest
}

/// Where a quotation begins: an apostrophe within a word opens none.
fn quotation(text: &str) -> Option<usize> {
    let within_word = |at: usize| text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    text.char_indices().find(|(at, c)| OPENING.contains(c) && !within_word(*at)).map(|(at, _)| at)
}

/// What stands behind the quotation that a text begins with.
fn end_of_quotation(text: &str) -> &str {
    let goes_on = |behind: &str| behind.chars().next().is_some_and(char::is_alphanumeric);
    let ends = text.char_indices().skip(1).filter(|(_, c)| CLOSING.contains(c)).map(|(at, c)| &text[at + c.len_utf8()..]);
    ends.into_iter().find(|behind| !goes_on(behind)).unwrap_or_default()
}

fn is_personal(word: &str) -> bool {
    let part_of_token = |part: &str| part.len() >= TOKEN && !part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    word.contains('@')
        || word.contains("://")
        || word.bytes().filter(u8::is_ascii_digit).count() >= DIGITS
        || word.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').any(part_of_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_and_nothing_that_was_sent() {
        for (text, told) in [
            // Slack.
            ("no more than 50 items allowed [json-pointer:/blocks]", "no more than 50 items allowed [json-pointer:/blocks]"),
            (
                "must be less than 3001 characters [json-pointer:/blocks/12/text/text]",
                "must be less than 3001 characters [json-pointer:/blocks/12/text/text]",
            ),
            // SES.
            (
                "Email address is not verified. The following identities failed the check in region EU-WEST-1: Ann Lee <ann@example.com>, bob@example.com",
                "Email address is not verified. The following identities failed the check in region EU-WEST-1: …",
            ),
            ("Missing final '@domain'", "Missing final …"),
            ("Illegal address \"Ann Lee\"", "Illegal address …"),
            ("Local address contains control or whitespace", "Local address contains control or whitespace"),
            ("Configuration set <orders> doesn't exist.", "Configuration set <orders> doesn't exist."),
            (
                "User `arn:aws:sts::123456789012:assumed-role/x' is not authorized to perform `ses:SendEmail' on resource `arn:aws:ses:eu-west-1:123456789012:identity/ann@example.com'",
                "User … is not authorized to perform … on resource …",
            ),
            ("The 'To' address isn't ann@example.com's", "The … address isn't …"),
            // Tokens, numbers and URLs of any service.
            ("bad token xoxb-1234-abcdefABCDEF0123456789", "bad token …"),
            ("cannot send to +41 79 1234567 now", "cannot send to +41 79 … now"),
            ("see https://example.com/?key=x for more", "see … for more"),
            ("an open \"quotation of ann", "an open …"),
            ("two\n\tlines ", "two lines"),
            ("", ""),
        ] {
            assert_eq!(said(text), told);
        }
        let long = said(&"word ".repeat(100));
        assert_eq!((long.chars().count(), long.chars().last()), (LONGEST + 1, Some('…')));
    }
}
