use std::fmt;

/// An environment variable that is read: its one declaration. The page of all settings is made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub takes: Takes,
    /// What it is when it is not set; empty: nothing.
    pub default: &'static str,
    /// Who reads it.
    pub readers: &'static [Reader],
    /// What it does, for operators.
    pub about: &'static str,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A text: what it holds.
    Text(&'static str),
    /// A text that nobody may see.
    Secret(&'static str),
    /// A JSON object: of what.
    Json(&'static str),
    /// A whole number between these, both included.
    Number(u32, u32),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Secret(text) => write!(f, "{text} (secret)"),
            Self::Json(of) => write!(f, "a JSON object: {of}"),
            Self::Number(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
        }
    }
}

/// Who reads a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The function that takes calls.
    Enqueue,
    /// The function that does tasks.
    Consumer,
    /// The function that tells and changes.
    Status,
    /// The function that takes events from a stream.
    Outbox,
    /// `errand`, on one machine.
    Errand,
}

impl Reader {
    /// Its name: of a function its folder's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Consumer => "consumer",
            Self::Status => "status",
            Self::Outbox => "outbox",
            Self::Errand => "errand",
        }
    }
}

/// Declares settings, each as a constant with what it does as its comment, and the list of them all:
///
/// ```
/// errand_core::settings! {
///     /// The settings of this provider.
///     pub const SETTINGS;
///     /// The sender of mails that name none.
///     FROM = "ERRAND_EXAMPLE_FROM", Text("an address"), "", [Consumer, Errand];
/// }
/// assert_eq!((SETTINGS.len(), FROM.about.trim()), (1, "The sender of mails that name none."));
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$doc:meta])* $visible:vis const $list:ident;
        $($(#[doc = $about:literal])+ $name:ident = $variable:literal, $takes:ident($($what:expr),+), $default:literal, [$($reader:ident),+];)*
    ) => {
        $(
            $(#[doc = $about])+
            $visible const $name: $crate::Setting = $crate::Setting {
                name: $variable,
                takes: $crate::Takes::$takes($($what),+),
                default: $default,
                readers: &[$($crate::Reader::$reader),+],
                about: concat!($($about),+),
            };
        )*
        $(#[$doc])*
        $visible const $list: &[$crate::Setting] = &[$($name),*];
    };
}
