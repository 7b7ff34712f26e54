//! The lease in Redis: one hash, changed by scripts, so that it works on a cluster and each change is whole.
//!
//! Needs Redis 5, whose scripts may ask for the time before they write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::lease::{Found, Request, State, Store};
use super::link::Link;
use super::shared::Shared;

/// The largest state, in bytes.
pub(super) const MAX_STATE: usize = 1 << 20;

/// The largest state that instances without the lease, which only show it, read whenever it changes.
const MAX_SHOWN: usize = 64 << 10;

/// How often they read a larger one. A hundred instances then read 1.7 MiB a second at most.
const READS_LARGE_EVERY: Duration = Duration::from_secs(60);

/// The longest a lease can be, in milliseconds, with room for clocks of servers that differ. One that ends later is not
/// believed: a server took over whose clock is behind.
const LONGEST_MILLIS: u64 = 180_000;

/// Takes the lease if it is free. Returns whether it is ours, the token, the holder, the revision, and the state if it
/// is not known.
const ACQUIRE: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local f = redis.call('HMGET', KEYS[1], 'holder', 'token', 'until', 'revision')
local token, ends = tonumber(f[2]) or 0, tonumber(f[3]) or 0
if not (token >= 0 and token < 9007199254740991) then token = 0 end
local ours = 0
if not f[1] or f[1] == ARGV[1] or not (ends > now and ends <= now + tonumber(ARGV[5])) then
  ours = 1
  token = math.max(token, tonumber(ARGV[3])) + 1
  redis.call('HSET', KEYS[1], 'holder', ARGV[1])
  redis.call('HSET', KEYS[1], 'token', string.format('%.0f', token))
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])))
  redis.call('EXPIRE', KEYS[1], ARGV[6])
  f[1] = ARGV[1]
end
local state, most = '', tonumber(ARGV[8 - ours])
if f[4] and f[4] ~= ARGV[4] and redis.call('HSTRLEN', KEYS[1], 'state') <= most then
  state = redis.call('HGET', KEYS[1], 'state') or ''
end
return {ours, string.format('%.0f', token), string.sub(f[1], 1, 128), string.sub(f[4] or '', 1, 64), state}";

/// Renews the lease of a token, and replaces the state. Returns whether it is the latest token.
const KEEP: &str = "\
local f = redis.call('HMGET', KEYS[1], 'holder', 'token')
if f[1] ~= ARGV[1] or f[2] ~= ARGV[2] then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + tonumber(ARGV[3])))
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'revision', ARGV[5])
  redis.call('HSET', KEYS[1], 'state', ARGV[6])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1";

/// A lease of a service.
pub(super) struct LeaseKey {
    shared: Arc<Shared>,
    key: String,
    link: Option<Link>,
    /// When this instance last read a large state without having the lease.
    read_large: Option<Instant>,
}

impl LeaseKey {
    pub(super) fn new(shared: Arc<Shared>, key: String) -> Self {
        Self { shared, key, link: None, read_large: None }
    }

    fn script(&self, script: &str) -> Cmd {
        let mut command = redis::cmd("EVAL");
        let me = self.shared.identity.id(self.shared.started);
        command.arg(script).arg(1).arg(&self.key).arg(me);
        command
    }

    /// Runs a script, once more over a new connection if the one that was open broke: both scripts may run twice.
    fn run(&mut self, command: Cmd) -> Result<Value, String> {
        let was_open = self.link.is_some();
        match self.run_once(&command) {
            Err(_) if was_open && self.link.is_none() => self.run_once(&command),
            result => result,
        }
    }

    fn run_once(&mut self, command: &Cmd) -> Result<Value, String> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::connect(&self.shared.settings.address, self.shared.settings.timeout)?,
        };
        link.check_role()?;
        let answer = link.run(std::slice::from_ref(command))?.into_iter().next();
        // Not after an error: what is read next could be the answer to this command.
        self.link = Some(link);
        answer.unwrap_or_else(|| Err("Redis sent no answer".to_owned()))
    }
}

impl Store for LeaseKey {
    fn acquire(&mut self, Request { length, token, revision }: &Request<'_>) -> Result<Found, String> {
        let mut command = self.script(ACQUIRE);
        command.arg(length.as_millis() as u64).arg(*token).arg(*revision).arg(LONGEST_MILLIS);
        let is_due = self.read_large.is_none_or(|last| last.elapsed() >= READS_LARGE_EVERY);
        let most_shown = if is_due { MAX_STATE } else { MAX_SHOWN };
        command.arg(self.shared.settings.retention.as_secs()).arg(MAX_STATE).arg(most_shown);
        let found = found(self.run(command)?).ok_or_else(|| format!("{} is not a lease", self.key))?;
        if !found.is_ours && found.state.as_ref().is_some_and(|state| state.bytes.len() > MAX_SHOWN) {
            self.read_large = Some(Instant::now());
        }
        Ok(found)
    }

    fn keep(&mut self, token: u64, length: Duration, state: Option<&State>) -> Result<bool, String> {
        let nothing = State::default();
        let State { revision, bytes } = state.unwrap_or(&nothing);
        let mut command = self.script(KEEP);
        command.arg(token).arg(length.as_millis() as u64).arg(self.shared.settings.retention.as_secs());
        command.arg(revision).arg(bytes.as_slice());
        Ok(self.run(command)? == Value::Int(1))
    }
}

/// The name of the instance that holds a lease, which it holds by its name and its start.
pub(super) fn name_of(holder: &str) -> &str {
    holder.rsplit_once('-').map_or(holder, |(name, _)| name)
}

/// The answer of [`ACQUIRE`].
fn found(answer: Value) -> Option<Found> {
    let Value::Array(fields) = answer else { return None };
    let [Value::Int(ours), token, holder, revision, state] = <[Value; 5]>::try_from(fields).ok()? else {
        return None;
    };
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    let text = |value| String::from_utf8(bytes(value)?).ok();
    let (revision, bytes) = (text(revision)?, bytes(state)?);
    let state = (!bytes.is_empty()).then_some(State { revision, bytes });
    Some(Found { is_ours: ours == 1, token: text(token)?.parse().ok()?, holder: text(holder)?, state })
}
