//! Signatures with one fault each, and unusual but valid ones.

use kombo_sandbox::sign;

use super::Then::{Refused, Stored};
use super::{Case, Good, LINE, OLDER_SECRET, SECRET, Then, raw, row};
use crate::world::API_KEY;

const WRONG: Then = Refused(401, "the signature is missing or wrong");
const RIGHT: Then = Stored("planned");

/// A case with a signature that is derived from the right one.
fn signed(name: &str, then: Then, signature: impl FnOnce(&Good) -> String) -> Case {
    row(name, then, |good| {
        let header = format!("X-Kombo-Signature: {}", signature(good));
        good.signatures(&[&header])
    })
}

/// Returns the bytes of a signature in hexadecimal.
fn hex(signature: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The last of 43 characters has four significant bits of six, so another character decodes to the same bytes.
fn alias(signature: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = signature.split_at(42);
    let place = ALPHABET.find(last).unwrap();
    format!("{rest}{}", &ALPHABET[place ^ 1..=place ^ 1])
}

pub(super) fn table() -> Vec<Case> {
    [forms(), secrets(), places()].into_iter().flatten().collect()
}

fn forms() -> Vec<Case> {
    vec![
        row("no signature", WRONG, |good| good.signatures(&[])),
        signed("an empty signature", WRONG, |_| String::new()),
        signed("a signature of spaces", WRONG, |_| " ".repeat(43)),
        signed("a signature that is too short", WRONG, |good| good.signature[..42].to_owned()),
        signed("a signature that is too long", WRONG, |good| format!("{}A", good.signature)),
        signed("a padded signature", WRONG, |good| format!("{}=", good.signature)),
        signed("a signature padded as addresses are", WRONG, |good| format!("{}%3D", good.signature)),
        signed("a signature in quotes", WRONG, |good| format!("\"{}\"", good.signature)),
        signed("a signature in small letters", WRONG, |good| good.signature.to_lowercase()),
        signed("a signature in capitals", WRONG, |good| good.signature.to_uppercase()),
        signed("a signature backwards", WRONG, |good| good.signature.chars().rev().collect()),
        signed("a signature in hexadecimal", WRONG, |good| hex(&good.signature)),
        signed("a signature in hexadecimal capitals", WRONG, |good| hex(&good.signature).to_uppercase()),
        signed("a signature with its algorithm", WRONG, |good| format!("sha256={}", good.signature)),
        signed("a signature with its version", WRONG, |good| format!("v1,{}", good.signature)),
        signed("a signature in another alphabet", WRONG, |good| {
            // Every signature has a character that this alphabet lacks.
            good.signature.replace(['-', '_'], "/").replace(|c: char| c.is_ascii_digit(), "+")
        }),
        signed("a signature with another last character for the same bytes", WRONG, |good| alias(&good.signature)),
        signed("a signature with another first character", WRONG, |good| {
            let first = if good.signature.starts_with('A') { "B" } else { "A" };
            format!("{first}{}", &good.signature[1..])
        }),
        signed("a signature of zeros", WRONG, |_| "A".repeat(43)),
        signed("a signature beyond ASCII", WRONG, |_| "ü".repeat(43)),
        signed("a signature with a letter of another script", WRONG, |good| {
            // It looks like an A.
            format!("\u{410}{}", &good.signature[1..])
        }),
        signed("a signature with a space in it", WRONG, |good| {
            format!("{} {}", &good.signature[..20], &good.signature[20..])
        }),
        signed("a signature with a tab in it", WRONG, |good| {
            format!("{}\t{}", &good.signature[..20], &good.signature[20..])
        }),
        signed("a signature with a zero byte", Refused(400, ""), |good| format!("{}\0", good.signature)),
        signed("a signature of 100,000 characters", WRONG, |_| "A".repeat(100_000)),
        signed("spaces and tabs around the signature", RIGHT, |good| format!(" \t {} \t", good.signature)),
    ]
}

fn secrets() -> Vec<Case> {
    let by = |name: &str, secret: &'static str| signed(name, WRONG, |good| sign(secret, good.body.as_bytes()));
    vec![
        by("signed with another secret", "another secret"),
        by("signed with no secret", ""),
        by("signed with the API key", API_KEY),
        by("signed with half of the secret", &SECRET[..SECRET.len() / 2]),
        signed("signed with the secret and a line end", WRONG, |good| {
            sign(&format!("{SECRET}\n"), good.body.as_bytes())
        }),
        signed("signed with both secrets as a list", WRONG, |good| {
            sign(&format!("{OLDER_SECRET},{SECRET}"), good.body.as_bytes())
        }),
        signed("the signature of another body", WRONG, |_| sign(SECRET, b"{}")),
        signed("the signature of an empty body", WRONG, |_| sign(SECRET, b"")),
        signed("the signature of the body and a line end", WRONG, |good| {
            sign(SECRET, format!("{}\n", good.body).as_bytes())
        }),
        signed("the signature of the body written anew", WRONG, |good| {
            sign(SECRET, good.body.replace(':', ": ").as_bytes())
        }),
        signed("the signature of the signature", WRONG, |good| sign(SECRET, good.signature.as_bytes())),
        signed("signed with the older secret", RIGHT, |good| sign(OLDER_SECRET, good.body.as_bytes())),
        row("a body that was touched after it was signed", WRONG, |good| {
            let touched = good.body.replace("sandbox:", "sandboy:");
            let length = format!("Content-Length: {}", touched.len());
            raw(LINE, &[&length, &good.signed()], touched.as_bytes())
        }),
        row("a body that lost its last byte", WRONG, |good| {
            let length = format!("Content-Length: {}", good.body.len() - 1);
            good.lengths(&[&length])
        }),
    ]
}

fn places() -> Vec<Case> {
    let header = |name: &str, then: Then, header: &'static str| {
        row(name, then, |good| {
            let header = format!("{header}: {}", good.signature);
            good.signatures(&[&header])
        })
    };
    let wrong = format!("X-Kombo-Signature: {}", "A".repeat(43));
    vec![
        header("a header in capitals", RIGHT, "X-KOMBO-SIGNATURE"),
        header("a header in small letters", RIGHT, "x-kombo-signature"),
        header("the signature in a header with underscores", WRONG, "X_Kombo_Signature"),
        header("the signature in a header of another name", WRONG, "X-Kombo-Signature-256"),
        header("the signature in a header of another service", WRONG, "X-Hub-Signature-256"),
        row("the signature in Authorization", WRONG, |good| {
            good.signatures(&[&format!("Authorization: Bearer {}", good.signature)])
        }),
        row("the signature in a cookie", WRONG, |good| {
            good.signatures(&[&format!("Cookie: X-Kombo-Signature={}", good.signature)])
        }),
        row("the signature in the address", WRONG, |good| {
            let line = format!("POST /webhooks/kombo?x-kombo-signature={} HTTP/1.1", good.signature);
            raw(&line, &[&format!("Content-Length: {}", good.body.len())], good.body.as_bytes())
        }),
        row("the signature after the chunks", WRONG, |good| {
            let body = format!("{:x}\r\n{}\r\n0\r\n{}\r\n\r\n", good.body.len(), good.body, good.signed()).into_bytes();
            raw(LINE, &["Transfer-Encoding: chunked", "Trailer: X-Kombo-Signature"], &body)
        }),
        row("the right signature twice", WRONG, |good| good.signatures(&[&good.signed(), &good.signed()])),
        row("the right signature, then a wrong one", WRONG, |good| good.signatures(&[&good.signed(), &wrong])),
        row("a wrong signature, then the right one", WRONG, |good| good.signatures(&[&wrong, &good.signed()])),
        signed("two signatures in one header", WRONG, |good| {
            format!("{}, {}", good.signature, sign(OLDER_SECRET, good.body.as_bytes()))
        }),
    ]
}
