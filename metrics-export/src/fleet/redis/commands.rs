//! Commands to a Redis, and the meaning of their answers.

use std::time::{Duration, SystemTime};

use redis::{Cmd, Value};

use super::keys::since_1970;

/// How far ahead of this clock an epoch may be; one further ahead is ignored.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);

pub(super) fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

/// Reads the first `bytes` bytes of a string, so that a value of any length costs no more.
pub(super) fn get(key: &str, bytes: usize) -> Cmd {
    command("GETRANGE", key).arg(0).arg(bytes - 1).clone()
}

pub(super) fn set(key: &str, value: &[u8], seconds: u64) -> Cmd {
    command("SET", key).arg(value).arg("EX").arg(seconds).clone()
}

/// Returns the first refusal of the server, if any.
pub(super) fn refused(answers: Vec<Result<Value, String>>) -> Result<(), String> {
    answers.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

/// The epoch in the answer for its key; 0 if there is none.
pub(super) fn epoch_of(answer: Result<Value, String>, now: SystemTime) -> u64 {
    let Ok(Value::BulkString(text)) = answer else { return 0 };
    let epoch = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let latest = since_1970(now + MAX_AHEAD).as_millis();
    if u128::from(epoch) <= latest { epoch } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_number_that_is_not_far_ahead() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let read = |text: &[u8]| epoch_of(Ok(Value::BulkString(text.to_vec())), now);
        assert_eq!(read(b"1699999999999"), 1_699_999_999_999);
        assert_eq!(read(b"1700003600000"), 1_700_003_600_000);
        for rubbish in [&b""[..], b"1700003600001", b"-1", b"x", &[0xff], b"99999999999999999999"] {
            assert_eq!(read(rubbish), 0);
        }
        assert_eq!(epoch_of(Err("WRONGTYPE".to_owned()), now), 0);
    }
}
