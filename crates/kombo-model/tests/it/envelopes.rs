use kombo_model::catalogue::Model;
use kombo_model::{
    ApiKeyInfo, Category, CoverageStatus, Endpoint, ErrorBody, ErrorCode, Integration, IntegrationCategory,
    IntegrationState, ListEnvelope, ModelName, ObjectEnvelope, ScopeSetting, SetupStatus, UnknownEndpoint, User,
};
use serde_json::json;

use crate::{INTEGRATION, USER, round_trip, with};

#[test]
fn a_list() {
    let list: ListEnvelope<User> =
        round_trip(&format!(r#"{{"status":"success","data":{{"next":"eyJwYWdlIjoxMn0=","results":[{USER}]}}}}"#));
    assert_eq!(list.data.next.as_deref(), Some("eyJwYWdlIjoxMn0="));
    assert_eq!(list.data.results.len(), 1);
    round_trip::<ListEnvelope<User>>(r#"{"status":"success","data":{"next":null,"results":[]}}"#);
}

#[test]
fn an_error() {
    let body: ErrorBody = round_trip(
        r#"{"status":"error","error":{"code":"INTEGRATION.MODEL_NOT_AVAILABLE","title":"Not supported",
            "message":"The \"skills\" model is not available.","log_url":"https://app.kombo.dev/my-prod/logs?id=1"}}"#,
    );
    assert_eq!(body.error.code, Some(ErrorCode::IntegrationModelNotAvailable));

    let minimal: ErrorBody =
        round_trip(r#"{"status":"error","error":{"code":null,"title":null,"message":"Always there.","log_url":null}}"#);
    assert_eq!(minimal.error.code, None);
    serde_json::from_str::<ErrorBody>(r#"{"status":"error","error":{"message":"m"}}"#).unwrap();

    let later: ErrorBody = serde_json::from_str(r#"{"status":"error","error":{"code":"A.B","message":"m"}}"#).unwrap();
    assert_eq!(later.error.code, Some(ErrorCode::Other("A.B".to_owned())));
}

#[test]
fn an_integration() {
    let integration = round_trip::<ObjectEnvelope<Integration>>(INTEGRATION).data;
    assert_eq!(integration.id.as_str(), "factorial:8d1hpPsbjxUkoCoa1veLZGe5");
    assert_eq!(integration.category, IntegrationCategory::Lms);
    assert_eq!(integration.status, IntegrationState::Active);
    assert_eq!(integration.setup_status, Some(SetupStatus::Completed));
    assert_eq!(integration.read_models[0].is_available, Some(true));
    assert_eq!(integration.read_models[0].coverage_status, Some(CoverageStatus::Supported));
    assert_eq!(integration.read_models[0].fields[0].is_available, Some(false));
    assert_eq!(integration.scope_config.unwrap().name.as_deref(), Some("Anonymous Scopes"));
    assert_eq!(integration.write_actions[0].scope_config_setting, Some(ScopeSetting::Optional));
    assert_eq!((integration.beta, integration.extra.len()), (Some(false), 0));
    // The minimum that an older Kombo sends.
    serde_json::from_str::<Integration>(r#"{"id":"a:b","tool":{"id":"a"},"category":"LMS","status":"ACTIVE"}"#)
        .unwrap();
    round_trip::<ObjectEnvelope<Integration>>(&with(INTEGRATION, "/data", "status", json!("PAUSED")));
    round_trip::<ObjectEnvelope<Integration>>(&with(INTEGRATION, "/data/tool", "added_later", json!(1)));
}

#[test]
fn an_api_key() {
    let info: ObjectEnvelope<ApiKeyInfo> =
        round_trip(r#"{"status":"success","data":{"environment_id":"e","customer_id":"c","added_later":1}}"#);
    assert_eq!(info.data.environment_id, "e");
}

#[test]
fn endpoints_have_one_name_everywhere() {
    for endpoint in Endpoint::ALL {
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        assert_eq!(serde_json::to_value(endpoint).unwrap(), json!(endpoint.as_str()));
        assert_eq!(endpoint.path(), endpoint.to_string());
    }
    assert_eq!("Users".parse::<Endpoint>(), Err(UnknownEndpoint { name: "Users".to_owned(), candidates: Vec::new() }));
}

#[test]
fn model_names_belong_to_a_category() {
    use Category::{Ats, Hris, Lms};
    for model in Model::ALL {
        let name = ModelName::from(model.as_str());
        let may = Category::ALL.map(|category| (category, name.may_be_of(category)));
        assert_eq!(may, Category::ALL.map(|category| (category, category == model.category())));
    }
    for (name, categories) in [
        ("lms_quizzes", &[Lms][..]),
        ("LMS_USERS", &[Lms]),
        ("users", &[Lms, Hris, Ats]),
        ("", &[Lms, Hris, Ats]),
        ("hris_payslips", &[Hris]),
        ("ATS_Jobs", &[Ats]),
        ("assessment_orders", &[]),
    ] {
        let name = ModelName::from(name);
        let may: Vec<Category> = Category::ALL.into_iter().filter(|category| name.may_be_of(*category)).collect();
        assert_eq!(may, categories, "{name}");
        assert!(matches!(name, ModelName::Other(_)));
    }
}
