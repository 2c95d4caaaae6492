//! Tells how tasks stand, and cancels them.
