//! Who may do what on a real cluster, and what kf says when somebody may not.
