use kombo_client::SecretString;
use kombo_client::webhook::{WebhookSecrets, sign};
use kombo_model::WebhookEvent;
use sync_core::webhooks;

/// A delivery: the value of the signature header, a line break, the body.
///
/// Only a body signed with a secret is accepted, for any header. An accepted body is read without a panic, has an id,
/// and is the same after writing and reading it again.
pub fn webhook(data: &[u8]) {
    let split = data.iter().position(|byte| *byte == b'\n');
    let (header, body) = split.map_or((&[][..], data), |at| (&data[..at], &data[at + 1..]));
    let (old, new) = (SecretString::from("fuzz-secret-old"), SecretString::from("fuzz-secret-new"));
    let secrets = WebhookSecrets::new([old.clone(), new.clone()]).expect("neither is blank");

    let genuine = [sign(&old, body), sign(&new, body)];
    let accepted = secrets.verify(body, Some(header)).is_ok();
    assert_eq!(accepted, genuine.iter().any(|it| it.as_bytes() == header), "a forged signature");
    assert!(secrets.verify(body, None).is_err());
    for signature in &genuine {
        assert!(secrets.verify(body, Some(signature.as_bytes())).is_ok());
        let mut other = body.to_vec();
        other.push(b' ');
        assert!(secrets.verify(&other, Some(signature.as_bytes())).is_err(), "a signature covers the whole body");
    }
    assert!(secrets.verify(body, Some(sign(&"fuzz-secret-neu".into(), body).as_bytes())).is_err());

    // The fuzzer cannot sign, so this also reads what a sender with the secret may send.
    let webhook = webhooks::read(body);
    assert!(!webhook.id.as_str().is_empty());
    if let WebhookEvent::DataChanged(data) = &webhook.event {
        assert!(webhook.event.integration_id() == Some(&data.integration_id));
    }
    let _ = format!("{webhook:?}");
    let written = serde_json::to_vec(&webhook).expect("what was read can be written");
    let again = webhooks::read(&written);
    assert_eq!(again.id, webhook.id);
    assert_eq!(again.event.kind(), webhook.event.kind());
    assert_eq!(again.event.integration_id(), webhook.event.integration_id());
}
