/// Declares an enum whose values have one name each, wherever they are written: its values, [`Serialize`](serde::Serialize) and
/// [`Deserialize`](serde::Deserialize), `ALL`, `as_str` and `named` from one list, so that none can be forgotten in another.
///
/// ```
/// errand_core::named! {
///     /// How it is.
///     pub enum Weather {
///         /// Dry.
///         Fair = "fair",
///         /// Wet.
///         Rain = "rain",
///     }
/// }
/// assert_eq!(Weather::ALL.map(Weather::as_str), ["fair", "rain"]);
/// assert_eq!((Weather::named("rain"), Weather::named("snow")), (Some(Weather::Rain), None));
/// ```
#[macro_export]
macro_rules! named {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$of:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $text)] $value,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$value),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }

            /// The one of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.as_str() == name)
            }
        }
    };
}
