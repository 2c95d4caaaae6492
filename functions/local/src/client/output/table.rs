//! Things in rows and columns.

use errand_core::Json;

use super::cell::{Cell, Field, Look};

/// Between two columns.
const GAP: usize = 2;

/// A line of titles, and one for each thing.
pub(super) fn rows(things: &[Json], columns: &[Field], look: &Look) -> String {
    let titles = columns.iter().map(|column| look.title(&column.title.to_uppercase())).collect();
    let things = things.iter().map(|thing| cells(thing, columns, look));
    aligned(&std::iter::once(titles).chain(things).collect::<Vec<_>>(), &[])
}

/// The line of one thing, when the others are not known: each cell is as wide as its kind is at most.
pub(super) fn row(thing: &Json, columns: &[Field], look: &Look) -> String {
    aligned(&[cells(thing, columns, look)], &columns.iter().map(Field::usual_width).collect::<Vec<_>>())
}

/// A line for each field that a thing has: its title and what it is.
pub(super) fn labelled(thing: &Json, fields: &[Field], look: &Look) -> String {
    let lines = fields.iter().filter_map(|field| Some(vec![look.title(field.title), field.of(thing, look)?]));
    aligned(&lines.collect::<Vec<_>>(), &[])
}

fn cells(thing: &Json, columns: &[Field], look: &Look) -> Vec<Cell> {
    columns.iter().map(|column| column.of(thing, look).unwrap_or_default()).collect()
}

/// Lines of cells, each as wide as the widest of its column, and not less than `least` says.
fn aligned(lines: &[Vec<Cell>], least: &[usize]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let cells = |column: usize| lines.iter().filter_map(move |line| line.get(column)).map(Cell::width);
    let width = |column: usize| cells(column).chain(least.get(column).copied()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<Cell>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{}{}", cell.painted(), " ".repeat(width - cell.width() + GAP)));
        padded.collect::<String>().trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use errand_core::Environment;
    use jiff::tz::TimeZone;

    use super::*;

    const COLUMNS: &[Field] =
        &[Field::text("id", "/id"), Field::status("status", "/status"), Field::time("next run", "/run/at"), Field::text("why", "/why")];

    fn look(vars: &[(&str, &str)]) -> Look {
        let env: Environment = vars.iter().copied().collect();
        Look::new(true, &env, TimeZone::get("Europe/Berlin").unwrap())
    }

    fn things(things: &[&str]) -> Vec<Json> {
        things.iter().map(|thing| Json::parse(thing.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn things_stand_in_columns_with_local_times() {
        let things = things(&[
            r#"{"id":"a","status":"READY","run":{"at":"2026-11-23T08:00:00.500Z"},"why":"né\u001b[2J\nend"}"#,
            r#"{"id":"longer","status":"SUCCESSFUL","run":null,"why":{"n":12345678901234567890123}}"#,
        ]);
        assert_eq!(
            rows(&things, COLUMNS, &look(&[("NO_COLOR", "1")])),
            "ID      STATUS      NEXT RUN             WHY\n\
             a       READY       2026-11-23 09:00:00  né\u{fffd}[2J end\n\
             longer  SUCCESSFUL                       {\"n\":12345678901234567890123}"
        );
        assert_eq!(row(&things[0], &COLUMNS[..3], &look(&[("NO_COLOR", "1")])), "a   READY       2026-11-23 09:00:00");
    }

    #[test]
    fn one_thing_is_told_by_the_fields_that_it_has() {
        let thing = &things(&[r#"{"id":"a","status":[],"run":{"at":"soon"},"why":null}"#])[0];
        assert_eq!(labelled(thing, COLUMNS, &look(&[("TERM", "dumb")])), "id        a\nnext run  soon");
    }

    #[test]
    fn colours_are_for_terminals_and_who_wants_them() {
        let failed = &things(&[r#"{"status":"FAILED"}"#])[0];
        let status = &COLUMNS[1..2];
        for vars in [&[][..], &[("NO_COLOR", "")], &[("TERM", "xterm")]] {
            assert_eq!(row(failed, status, &look(vars)), "\x1b[31mFAILED\x1b[0m", "{vars:?}");
        }
        assert_eq!(row(failed, status, &look(&[("NO_COLOR", "1")])), "FAILED");
        assert_eq!(row(failed, status, &Look::new(false, &Environment::default(), TimeZone::UTC)), "FAILED");
    }
}
