//! `GET /lms/users`

use serde::Serialize;

use super::{Scene, Tail};
use crate::{Id, User};

/// A listed user.
#[derive(Debug, Serialize)]
pub(crate) struct UserView<'a> {
    id: Id,
    remote_id: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    work_email: Option<&'a str>,
    status: Option<&'a str>,
    #[serde(flatten)]
    tail: Tail<'a>,
}

impl<'a> UserView<'a> {
    pub(crate) fn new(scene: Scene<'a>, id: Id, user: &'a User) -> Self {
        let shown = scene.shown(&user.meta);
        Self {
            id,
            remote_id: shown.hard(user.meta.remote_id.as_deref()),
            first_name: shown.soft(user.first_name.as_deref()),
            last_name: shown.soft(user.last_name.as_deref()),
            work_email: shown.soft(user.work_email.as_deref()),
            status: shown.soft(user.status.as_deref()),
            tail: Tail::new(&user.meta, shown),
        }
    }
}
