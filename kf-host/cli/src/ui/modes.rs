//! Resets the terminal modes that programs in a session may leave set.
//!
//! A program that is detached, killed or hostile does not reset its modes. Clicks then insert text, keys are
//! encoded differently, or the cursor is hidden. The colour palette is not reset, because shells set it too.

/// Saves the window's title.
pub const ENTER: &[u8] = b"\x1b[22;0t";

/// Ends unfinished sequences, resets all modes and restores the title. Terminals ignore what they do not
/// support.
pub const LEAVE: &[u8] = b"\x18\x1b\\\
    \x1b[?2026l\
    \x1b7\x1b[?1049l\
    \x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l\
    \x1b[?1l\x1b>\x1b[?66l\
    \x1b[?2004l\
    \x1b[=0u\x1b[>4;0m\x1b[?9001l\
    \x1b[4l\x1b[20l\x1b[?5l\x1b[?7h\x1b[?25h\x1b[0 q\
    \x0f\x1b(B\x1b)B\x1b[0m\x1b]8;;\x1b\\\
    \x1b[?6l\x1b[?69l\x1b7\x1b[r\x1b8\
    \x1b[23;0t";
