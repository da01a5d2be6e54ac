//! A no is a no: by whatever door it comes, for every record of the mailbox.

mod matrix;

/// Whether the whole of a test is run and not CI's share of it.
#[expect(clippy::disallowed_methods, reason = "who wants it whole says so by an environment variable")]
fn in_full() -> bool {
    std::env::var("ZWECK_FULL").is_ok_and(|value| value == "1")
}
