//! Traits with their futures on the heap, so that a function can choose an implementation by its settings: each stands beside the trait that it is the twin of.
//! Nobody implements these: each has one blanket implementation. What has its health told, and is no transport, implements [`DynCheck`](crate::DynCheck).

/// Declares a trait's erased twin and implements it for all that implement the trait; `and` adds methods of the traits that it builds on.
macro_rules! erased {
    (
        $(#[$doc:meta])*
        $twin:ident of $of:ident { $(fn $method:ident($($arg:ident: $ty:ty),*) -> $out:ty;)* }
        $(and $base:ident { $(fn $inherited:ident($($given:ident: $given_type:ty),*) -> $told:ty;)* })*
        $(value { $($known:ident() -> $kind:ty;)* })?
        $(const { $($name:ident() -> $value:ty = $constant:ident;)* })?
    ) => {
        $(#[$doc])*
        pub trait $twin: Send + Sync {
            $(#[doc = concat!("[`", stringify!($of), "::", stringify!($method), "`].")]
            fn $method<'a>(&'a self $(, $arg: $ty)*) -> $crate::BoxFuture<'a, $out>;)*
            $($(#[doc = concat!("[`", stringify!($base), "::", stringify!($inherited), "`].")]
            fn $inherited<'a>(&'a self $(, $given: $given_type)*) -> $crate::BoxFuture<'a, $told>;)*)*
            $($(#[doc = concat!("[`", stringify!($of), "::", stringify!($known), "`].")]
            fn $known(&self) -> $kind;)*)?
            $($(#[doc = concat!("[`", stringify!($of), "::", stringify!($constant), "`].")]
            fn $name(&self) -> $value;)*)?
        }

        impl<T: $of> $twin for T {
            $(fn $method<'a>(&'a self $(, $arg: $ty)*) -> $crate::BoxFuture<'a, $out> {
                ::futures_util::FutureExt::boxed($of::$method(self $(, $arg)*))
            })*
            $($(fn $inherited<'a>(&'a self $(, $given: $given_type)*) -> $crate::BoxFuture<'a, $told> {
                ::futures_util::FutureExt::boxed($base::$inherited(self $(, $given)*))
            })*)*
            $($(fn $known(&self) -> $kind {
                $of::$known(self)
            })*)?
            $($(fn $name(&self) -> $value {
                T::$constant
            })*)?
        }
    };
}

pub(crate) use erased;
