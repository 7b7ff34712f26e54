//! Bodies compressed for those who take them so.

use std::io::Write;

use actix_web::HttpRequest;
use actix_web::http::header;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Whether `Accept-Encoding` names gzip, and does not refuse it with a weight of 0.
pub(crate) fn is_accepted(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(header::ACCEPT_ENCODING);
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").parse();
        name.trim().eq_ignore_ascii_case("gzip") && weight != Ok(0.0)
    })
}

/// These bytes, compressed as well as can be.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accept, taken) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("xgzip, identity", false),
            ("", false),
        ] {
            let request = TestRequest::get().insert_header((header::ACCEPT_ENCODING, accept));
            assert_eq!(is_accepted(&request.to_http_request()), taken, "{accept}");
        }
    }

    #[test]
    fn what_was_packed_is_unpacked_as_it_was() {
        let text = "as it was ".repeat(1_000);
        let packed = packed(text.as_bytes());
        assert!(packed.len() < 100, "{}", packed.len());
        let mut unpacked = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed), &mut unpacked).unwrap();
        assert_eq!(unpacked, text);
    }
}
