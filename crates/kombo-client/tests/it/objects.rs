use kombo_client::ErrorKind;
use kombo_model::{IntegrationId, IntegrationState, SetupStatus};

use crate::server::{Reply, Server};
use crate::{client, error_body, integration};

#[tokio::test]
async fn a_key_can_be_checked() {
    let server = Server::start([
        Reply::ok(r#"{"status":"success","data":{"environment_id":"2Uev1YUTqLFdvMPD3Jtrg2FX","customer_id":"c"}}"#),
        Reply::json(401, error_body(r#""PLATFORM.AUTHENTICATION_INVALID""#)),
    ])
    .await;
    let answer = client(&server).check_api_key().await.unwrap();
    assert_eq!(answer.data.environment_id, "2Uev1YUTqLFdvMPD3Jtrg2FX");
    assert_eq!(answer.meta.attempts, 1);
    assert_eq!(client(&server).check_api_key().await.unwrap_err().kind(), ErrorKind::KeyRejected);
    let seen = server.seen();
    assert_eq!(seen[0].target, "/v1/check-api-key");
    assert_eq!(seen[0].header("x-integration-id"), None);
}

#[tokio::test]
async fn the_state_of_an_integration_can_be_read() {
    let body = r#"{"status":"success","data":{"id":"sandbox:7C9M","tool":{"id":"sandbox","label":"Sandbox"},
        "category":"LMS","status":"INVALID","setup_status":"COMPLETED","end_user":{"organization_name":"Acme"}}}"#;
    let server = Server::start([
        Reply::ok(body),
        Reply::ok(body),
        Reply::json(404, error_body(r#""PLATFORM.INTEGRATION_NOT_FOUND""#)),
    ])
    .await;
    let client = client(&server);
    let answer = client.integration(&integration()).await.unwrap();
    assert_eq!(answer.data.status, IntegrationState::Invalid);
    assert_eq!(answer.data.setup_status, Some(SetupStatus::Completed));
    client.integration(&IntegrationId::from("odd/../id?")).await.unwrap();
    assert_eq!(client.integration(&integration()).await.unwrap_err().kind(), ErrorKind::IntegrationNotFound);
    assert_eq!(
        server.targets()[..2],
        ["/v1/integrations/sandbox:7C9M5sXAQx2cNMpVHLojrFpL", "/v1/integrations/odd%2F..%2Fid%3F"]
    );
    assert_eq!(server.seen()[0].header("x-integration-id"), None);
}
