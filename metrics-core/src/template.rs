//! Message templates: messages that differ only in numbers have the same template.

/// Replaces the numbers, hexadecimal numbers and UUIDs in a message by placeholders; no decimal digit is left.
///
/// `order 17 of 3f2504e0-4f89-11d3-9a0c-0305e82c3301 took 1.5s` becomes `order <num> of <uuid> took <num>s`. A
/// hexadecimal number begins with `0x`, or is a word of at least 8 hexadecimal digits, one of them decimal. The
/// template is at most five times as long as the message.
pub fn message_template(message: &str) -> String {
    let mut template = String::with_capacity(message.len());
    each_piece(message, |piece| template.push_str(piece));
    template
}

/// Calls `put` with the pieces of a message's template, one after the other. Does not allocate.
pub(crate) fn each_piece(message: &str, mut put: impl FnMut(&str)) {
    let mut rest = message;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let (placeholder, length) = match if in_word { None } else { word(rest) } {
            Some(found) => found,
            None => match number(rest, in_word) {
                0 => {
                    put(&rest[..first.len_utf8()]);
                    rest = &rest[first.len_utf8()..];
                    in_word = first.is_alphanumeric();
                    continue;
                }
                length => ("<num>", length),
            },
        };
        put(placeholder);
        rest = &rest[length..];
        // Letters after a number are not a word: the `s` of `5s`.
        in_word = true;
    }
}

/// The placeholder for the word at the beginning of a text, and the word's length in bytes; `None` if it is not
/// replaced.
fn word(text: &str) -> Option<(&'static str, usize)> {
    if is_uuid(text) {
        return Some(("<uuid>", UUID));
    }
    let length = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    let word = &text[..length];
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let is_hex = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_mixed = |word: &str| {
        word.bytes().any(|byte| byte.is_ascii_digit()) && word.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let hex = digits.is_some_and(is_hex) || word.len() >= 8 && is_hex(word) && is_mixed(word);
    hex.then_some(("<hex>", length))
}

/// The length of a UUID, in bytes.
const UUID: usize = 36;

fn is_uuid(text: &str) -> bool {
    let Some(uuid) = text.get(..UUID) else { return false };
    let is_placed = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let has_digit = uuid.bytes().any(|byte| byte.is_ascii_digit());
    has_digit && uuid.bytes().enumerate().all(is_placed) && !text[UUID..].starts_with(char::is_alphanumeric)
}

/// The length of the decimal number at the beginning of a text, in bytes; 0 if there is none. Includes a sign, except
/// inside a word, and points and commas between digits.
fn number(text: &str, in_word: bool) -> usize {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut length = usize::from(!in_word && matches!(bytes.first(), Some(b'-' | b'+')));
    if !is_digit(length) {
        return 0;
    }
    while is_digit(length) || matches!(bytes.get(length), Some(b'.' | b',')) && is_digit(length + 1) {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_replaced_and_words_are_not() {
        for (message, expected) in [
            ("", ""),
            ("no stock", "no stock"),
            ("item 42 of 7", "item <num> of <num>"),
            ("took 1.5s, limit 1,000 ms.", "took <num>s, limit <num> ms."),
            ("-3 below +4, 5-6, a-7", "<num> below <num>, <num>-<num>, a-<num>"),
            ("user_123 item42 utf8", "user_<num> item<num> utf<num>"),
            ("10.0.0.1:8080 refused", "<num>:<num> refused"),
            ("at 0x7ffe12 or 0XAB", "at <hex> or <hex>"),
            ("0x is none, 0xyz is none", "<num>x is none, <num>xyz is none"),
            ("commit 8fa2d90c, id DEADBEEF01", "commit <hex>, id <hex>"),
            ("deadbeef is a word, ab12 is short", "deadbeef is a word, ab<num> is short"),
            ("12345678 is decimal", "<num> is decimal"),
            ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "<uuid>"),
            ("id=3F2504E0-4F89-11D3-9A0C-0305E82C3301;", "id=<uuid>;"),
            ("3f2504e0-4f89-11d3-9a0c-0305e82c33011", "<hex>-<num>f<num>-<num>d<num>-<num>a<num>c-<hex>"),
            ("주문 17번 실패 😀", "주문 <num>번 실패 😀"),
            ("é1", "é<num>"),
        ] {
            assert_eq!(message_template(message), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_digit_is_left_and_a_templates_template_is_itself(message in ".{0,80}|[0-9a-fx.,+\\- é-]{0,80}") {
            let once = message_template(&message);
            prop_assert!(!once.bytes().any(|byte| byte.is_ascii_digit()), "{}", once);
            prop_assert!(once.len() <= 5 * message.len());
            prop_assert_eq!(message_template(&once), once);
        }

        #[test]
        fn messages_that_differ_in_a_number_have_the_same_template(
            before in "[a-z :=/]{0,20}", after in "[ :;/][a-z :=/]{0,20}", a: i64, b in -1e9..1e9_f64,
            uuids: [u128; 2], hex: [u32; 2],
        ) {
            let of = |number: String| message_template(&format!("{before} {number}{after}"));
            let number = of(a.to_string());
            prop_assert_eq!(of(b.to_string()), number.clone());
            let uuid = |bits: u128| {
                let hex = format!("{bits:032x}");
                of([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
            };
            prop_assert_eq!(uuid(uuids[0]), uuid(uuids[1]));
            prop_assert_eq!(of(format!("0x{:x}", hex[0])), of(format!("{:#X}", hex[1])));
        }
    }
}
