//! Messages on the wire to envelopes and back. Pure functions.
