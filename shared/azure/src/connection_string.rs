/// The parts of a connection string: `Name=value`, with semicolons between; names are in any case.
pub(crate) struct ConnectionString<'a>(Vec<(&'a str, &'a str)>);

impl<'a> ConnectionString<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let parts: Option<Vec<_>> = parts.map(|part| part.split_once('=')).collect();
        parts.filter(|parts| !parts.is_empty()).map(Self).ok_or_else(|| "expected a connection string: Name=value;Name=value".to_owned())
    }

    /// The value of this name, if it is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value).filter(|value| !value.is_empty())
    }
}
