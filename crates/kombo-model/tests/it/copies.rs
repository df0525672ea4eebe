use kombo_model::{CourseProgression, Maybe, UserCopy};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::{PROGRESSION, round_trip, tree};

#[test]
fn absent_and_null_are_told_apart() {
    let copy: UserCopy = round_trip(r#"{"id":"u","first_name":null,"last_name":"Johnson"}"#);
    assert_eq!(copy.first_name, Maybe::Null);
    assert_eq!(copy.last_name, Maybe::Value("Johnson".to_owned()));
    assert_eq!(copy.work_email, Maybe::Absent);
}

#[test]
fn a_copy_itself_may_be_absent_or_null() {
    let absent: CourseProgression = serde_json::from_str(r#"{"id":"p"}"#).unwrap();
    assert_eq!((absent.user, absent.course_revision), (Maybe::Absent, Maybe::Absent));
    let null: CourseProgression =
        serde_json::from_str(r#"{"id":"p","user":null,"course_revision":{"id":"r","course":null}}"#).unwrap();
    assert_eq!(null.user, Maybe::Null);
    assert_eq!(null.course_revision.value().unwrap().course, Maybe::Null);
}

#[test]
fn a_copy_says_what_it_says() {
    assert_eq!(Maybe::<u8>::Absent.said(), None);
    assert_eq!(Maybe::<u8>::Null.said(), Some(None));
    assert_eq!(Maybe::Value(1).said(), Some(Some(1)));
    assert_eq!(Maybe::from(Some(1)).into_value(), Some(1));
    assert_eq!(Maybe::<u8>::from(None), Maybe::Null);
    assert!(Maybe::<u8>::default().is_absent());
}

proptest! {
    /// For any set of omitted keys, a copy survives reading and writing.
    #[test]
    fn any_choice_of_keys_survives(kept: [bool; 7], nulled: [bool; 7]) {
        let mut progression = tree(PROGRESSION);
        let mut choices = kept.into_iter().zip(nulled);
        for pointer in ["/user", "/course_revision/course", "/course_revision"] {
            let copy = progression.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            *copy = std::mem::take(copy)
                .into_iter()
                .filter_map(|(key, value)| {
                    if key == "id" {
                        return Some((key, value));
                    }
                    let (kept, nulled) = choices.next()?;
                    kept.then_some((key, if nulled { Value::Null } else { value }))
                })
                .collect::<Map<_, _>>();
        }
        round_trip::<CourseProgression>(&progression.to_string());
    }
}
