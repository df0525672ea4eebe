use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"id":"1","type":"data-changed","data":{}}"#;
/// `printf %s "$BODY" | openssl dgst -sha256 -hmac whsec_test -binary | base64 | tr '+/' '-_' | tr -d '='`
const SIGNATURE: &str = "aHH_2FO6z1VzWj8gYmqD1QNdYeVGlP9zffDYB5wWZcc";

fn secrets(texts: &[&str]) -> WebhookSecrets {
    WebhookSecrets::new(texts.iter().map(|text| SecretString::from(*text))).unwrap()
}

#[test]
fn signs_as_openssl_does() {
    assert_eq!(sign(&"whsec_test".into(), BODY), SIGNATURE);
    assert_eq!(sign(&"whäséc".into(), b""), "C-QZ6EsimHj_noTEvOuYGzU-SM2wgFXPTso3UmYmd2M");
}

#[test]
fn any_of_the_secrets_will_do() {
    for texts in [&["whsec_test"][..], &["whsec_test", "new"], &["old", "older", "whsec_test"]] {
        assert_eq!(secrets(texts).verify(BODY, Some(SIGNATURE.as_bytes())), Ok(()), "{texts:?}");
    }
    let other = secrets(&["old", "new"]).verify(BODY, Some(SIGNATURE.as_bytes()));
    assert_eq!(other, Err(SignatureError::Mismatch));
}

#[test]
fn tells_missing_malformed_and_mismatched_apart() {
    let secrets = secrets(&["whsec_test"]);
    assert_eq!(secrets.verify(BODY, None), Err(SignatureError::Missing));
    for header in
        ["", "aHH", &format!("{SIGNATURE}="), &format!("{SIGNATURE}{SIGNATURE}"), &SIGNATURE.replace('_', "/")]
    {
        assert_eq!(secrets.verify(BODY, Some(header.as_bytes())), Err(SignatureError::Malformed), "{header}");
    }
    assert_eq!(secrets.verify(BODY, Some(&[0xff; 43])), Err(SignatureError::Malformed));
    // The last character has two spare bits; only the canonical encoding is accepted.
    let twin = SIGNATURE.replace("Zcc", "Zcd");
    assert_eq!(secrets.verify(BODY, Some(twin.as_bytes())), Err(SignatureError::Mismatch));
    assert_eq!(secrets.verify(b"", Some(SIGNATURE.as_bytes())), Err(SignatureError::Mismatch));
}

#[test]
fn a_blank_secret_is_refused() {
    assert_eq!(WebhookSecrets::new([]).err(), Some(BlankSecret));
    assert_eq!(WebhookSecrets::new(["a".into(), " ".into()]).err(), Some(BlankSecret));
}

#[test]
fn secrets_do_not_show() {
    assert_eq!(format!("{:?}", secrets(&["whsec_test", "b"])), "WebhookSecrets(2)");
}

proptest! {
    #[test]
    fn a_signature_fits_its_body_only(
        secret in "\\PC{1,80}",
        body: Vec<u8>,
        flip: proptest::sample::Index,
        bit in 0_u8..8,
    ) {
        prop_assume!(!secret.trim().is_empty());
        let secret = SecretString::from(secret);
        let signature = sign(&secret, &body);
        let secrets = WebhookSecrets::new([secret]).unwrap();
        prop_assert_eq!(secrets.verify(&body, Some(signature.as_bytes())), Ok(()));
        if !body.is_empty() {
            let mut other = body.clone();
            other[flip.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(secrets.verify(&other, Some(signature.as_bytes())), Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn no_header_makes_it_panic(header: Vec<u8>) {
        secrets(&["whsec_test"]).verify(BODY, Some(&header)).unwrap_err();
    }
}
