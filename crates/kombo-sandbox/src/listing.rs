//! Selects the rows of a page.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::Bound,
};

use serde::Serialize;

use crate::{
    Behaviour, Course, CursorKind, Endpoint, Id, Integration, ListOrder, Meta, NestedReading, Progression, Stamp,
    cursor::Position,
    query::{Filters, ListQuery},
    records::Renderer,
    render::{CourseView, ProgressionView, Scene, Shown, SkillView, UserView},
};

/// A page: the rows as the content of a JSON array, and the start of the next page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<u8>,
    pub(crate) next: Option<Position>,
}

/// Everything that determines a page.
pub(crate) struct Listing<'a> {
    pub(crate) integration: &'a Integration,
    pub(crate) behaviour: &'a Behaviour,
    pub(crate) now: Stamp,
    pub(crate) endpoint: Endpoint,
    pub(crate) query: &'a ListQuery,
    pub(crate) from: Position,
}

impl<'a> Listing<'a> {
    /// Returns the page that begins at `from`.
    pub(crate) fn page(&self) -> Page {
        let behaviour = self.behaviour;
        let Some(filters) = self.supported_filters() else {
            return Page { rows: Vec::new(), next: None };
        };
        if behaviour.empty_page_every > 0 && (self.from.page + 1).is_multiple_of(behaviour.empty_page_every.max(2)) {
            return Page { rows: Vec::new(), next: Some(Position { page: self.from.page + 1, ..self.from }) };
        }
        let tables = &self.integration.tables;
        let scene = Scene { tables, behaviour, now: self.now, include_deleted: filters.include_deleted };
        let filter = RowFilter { scene, filters: &filters };
        match self.endpoint {
            Endpoint::LmsUsers => self.collect(
                &tables.users,
                |id, row| {
                    let email = row.work_email.as_deref();
                    filter.record(id, &row.meta, || row.meta.changed_at)
                        && wanted(filters.work_emails.as_ref(), scene.shown(&row.meta).soft(email))
                },
                |row| row.meta.changed_at,
                |id, row| UserView::new(scene, id, row),
            ),
            Endpoint::LmsCourses => self.collect(
                &tables.courses,
                |id, row| filter.record(id, &row.meta, || course_moved(behaviour.nested, row)),
                |row| row.meta.changed_at,
                |id, row| CourseView::new(scene, id, row),
            ),
            Endpoint::LmsCourseProgressions => {
                let related = Related::new(&filter);
                self.collect(
                    &tables.progressions,
                    |id, row| filter.progression(id, row, &related),
                    |row| row.changed_at,
                    |id, row| ProgressionView::new(scene, id, row),
                )
            }
            Endpoint::LmsSkills => self.collect(
                &tables.skills,
                |id, row| filter.record(id, &row.meta, || row.meta.changed_at),
                |row| row.meta.changed_at,
                |id, row| SkillView::new(scene, id, row),
            ),
            Endpoint::Of(endpoint) => {
                let records = &tables.records;
                let renderer = Renderer { records, behaviour, now: self.now, include_deleted: filters.include_deleted };
                self.collect(
                    records.rows(endpoint.lists()),
                    |id, row| {
                        let remote_id = row.values.get("remote_id").and_then(serde_json::Value::as_str);
                        filter.common(id, remote_id, row.deleted_at, Shown::Full)
                            && filter.after(|| renderer.moved(endpoint, *id, row))
                    },
                    |row| row.changed_at,
                    |id, row| renderer.record(endpoint, id, row),
                )
            }
            Endpoint::CheckApiKey
            | Endpoint::Integration
            | Endpoint::DeleteIntegration
            | Endpoint::ForceSync
            | Endpoint::CreateCourseProgression
            | Endpoint::CompleteCourseProgression
            | Endpoint::UpsertCourses
            | Endpoint::CourseTask
            | Endpoint::DeactivateCourse
            | Endpoint::Unknown => Page { rows: Vec::new(), next: None },
        }
    }

    /// Returns the filters without the ignored ones; `None` if an unsupported filter matches nothing.
    fn supported_filters(&self) -> Option<Filters> {
        let mut filters = self.query.filters.clone();
        for name in &self.integration.unsupported_filters {
            let filter = match name.as_str() {
                "ids" => &mut filters.ids,
                "remote_ids" => &mut filters.remote_ids,
                "work_emails" => &mut filters.work_emails,
                "user_ids" => &mut filters.user_ids,
                "course_ids" => &mut filters.course_ids,
                _ => continue,
            };
            if filter.is_some() && !filters.ignore_unsupported {
                return None;
            }
            *filter = None;
        }
        Some(filters)
    }

    fn collect<T, V: Serialize>(
        &self,
        rows: &'a BTreeMap<Id, T>,
        keep: impl Fn(&Id, &T) -> bool,
        changed_at: impl Fn(&T) -> Stamp,
        view: impl Fn(Id, &'a T) -> V,
    ) -> Page {
        let wanted = self.query.page_size;
        let found = self.found(rows, keep, changed_at);
        let mut out = Vec::with_capacity(512 * found.len().min(wanted));
        let mut next = self.from;
        for (key, id, row) in found.iter().take(wanted) {
            if !out.is_empty() {
                out.push(b',');
            }
            // Writing structs of strings and numbers to memory cannot fail.
            let _ = serde_json::to_writer(&mut out, &view(*id, row));
            next.after = Some((*key, *id));
            next.offset += 1;
        }
        next.page += 1;
        let more = found.len() > wanted || (self.behaviour.trailing_empty_page && !out.is_empty());
        Page { rows: out, next: more.then_some(next) }
    }

    /// Returns the rows of this page and the next row, if any.
    fn found<T>(
        &self,
        rows: &'a BTreeMap<Id, T>,
        keep: impl Fn(&Id, &T) -> bool,
        changed_at: impl Fn(&T) -> Stamp,
    ) -> Vec<(i64, Id, &'a T)> {
        let limit = self.query.page_size + 1;
        let keyset = self.behaviour.cursor == CursorKind::Keyset;
        let after = self.from.after.filter(|_| keyset);
        let skip = if keyset { 0 } else { self.from.offset };
        if self.behaviour.order == ListOrder::Id {
            let start = after.map_or(Bound::Unbounded, |(_, id)| Bound::Excluded(id));
            // A few ids are looked up one by one, at a cost independent of the table size.
            let by_id: Option<Vec<Id>> = self.query.filters.ids.as_ref().filter(|_| self.ids_supported()).map(|ids| {
                let ids: BTreeSet<Id> = ids.iter().filter_map(|it| it.parse().ok()).collect();
                ids.range((start, Bound::Unbounded)).copied().collect()
            });
            return match by_id {
                Some(ids) => ids
                    .iter()
                    .filter_map(|id| rows.get_key_value(id))
                    .filter(|(id, row)| keep(id, row))
                    .skip(skip)
                    .take(limit)
                    .map(|(id, row)| (0, *id, row))
                    .collect(),
                None => rows
                    .range((start, Bound::Unbounded))
                    .filter(|(id, row)| keep(id, row))
                    .skip(skip)
                    .take(limit)
                    .map(|(id, row)| (0, *id, row))
                    .collect(),
            };
        }
        // The other orders have no index: they are for tests with small tables.
        let mut all: Vec<_> = rows
            .iter()
            .filter(|(id, row)| keep(id, row))
            .map(|(id, row)| (self.sort_key(id, || changed_at(row)), *id, row))
            .filter(|(key, id, _)| after.is_none_or(|after| (*key, *id) > after))
            .collect();
        all.sort_unstable_by_key(|(key, id, _)| (*key, *id));
        all.into_iter().skip(skip).take(limit).collect()
    }

    fn ids_supported(&self) -> bool {
        !self.integration.unsupported_filters.contains("ids")
    }

    fn sort_key(&self, id: &Id, changed_at: impl Fn() -> Stamp) -> i64 {
        match self.behaviour.order {
            ListOrder::Id => 0,
            ListOrder::ChangedAt => changed_at().micros(),
            ListOrder::Shuffled => {
                let mut hasher = DefaultHasher::new();
                id.hash(&mut hasher);
                i64::from_ne_bytes(hasher.finish().to_ne_bytes())
            }
        }
    }
}

fn wanted(filter: Option<&BTreeSet<String>>, value: Option<&str>) -> bool {
    filter.is_none_or(|it| value.is_some_and(|value| it.contains(value)))
}

/// Returns the time that `updated_after` compares for a course.
fn course_moved(reading: NestedReading, course: &Course) -> Stamp {
    let moved = course.meta.changed_at.max(course.revisions_changed_at);
    match reading {
        NestedReading::Guide => moved.max(course.nested_changed_at),
        NestedReading::Reference => moved,
    }
}

struct RowFilter<'a> {
    scene: Scene<'a>,
    filters: &'a Filters,
}

impl RowFilter<'_> {
    fn after(&self, moved: impl FnOnce() -> Stamp) -> bool {
        let Some(after) = self.filters.updated_after else { return true };
        let moved = moved();
        moved > after || (self.scene.behaviour.inclusive && moved == after)
    }

    fn common(&self, id: &Id, remote_id: Option<&str>, deleted_at: Option<Stamp>, shown: Shown) -> bool {
        (self.filters.include_deleted || deleted_at.is_none())
            && wanted(self.filters.ids.as_ref(), Some(id.as_str()))
            && wanted(self.filters.remote_ids.as_ref(), shown.hard(remote_id))
    }

    fn record(&self, id: &Id, meta: &Meta, moved: impl Fn() -> Stamp) -> bool {
        self.common(id, meta.remote_id.as_deref(), meta.remote_deleted_at, self.scene.shown(meta)) && self.after(moved)
    }

    fn progression(&self, id: &Id, row: &Progression, related: &Related) -> bool {
        let shown = self.scene.progression_shown(row);
        (self.after(|| row.changed_at)
            || related.users.contains(&row.user_id)
            || related.revisions.contains(&row.course_revision_id))
            && self.common(id, row.remote_id.as_deref(), row.remote_deleted_at, shown)
            && wanted(self.filters.user_ids.as_ref(), Some(row.user_id.as_str()))
            && related.of_courses.as_ref().is_none_or(|it| it.contains(&row.course_revision_id))
    }
}

/// The rows with affected progressions, computed once per page instead of once per progression.
struct Related {
    /// Changed users.
    users: HashSet<Id>,
    /// Revisions that changed, and revisions of changed courses.
    revisions: HashSet<Id>,
    /// The revisions of the requested courses.
    of_courses: Option<HashSet<Id>>,
}

impl Related {
    fn new(filter: &RowFilter<'_>) -> Self {
        let tables = filter.scene.tables;
        let revisions = || tables.revisions.iter();
        let of_courses = filter.filters.course_ids.as_ref().map(|ids| {
            let wanted = |course: Option<Id>| course.is_some_and(|it| ids.contains(it.as_str()));
            revisions().filter(|(_, row)| wanted(row.course_id)).map(|(id, _)| *id).collect()
        });
        let reaching = filter.scene.behaviour.nested == NestedReading::Guide && filter.filters.updated_after.is_some();
        if !reaching {
            return Self { users: HashSet::new(), revisions: HashSet::new(), of_courses };
        }
        let course_moved = |id: Option<Id>| {
            id.and_then(|id| tables.courses.get(&id)).is_some_and(|it| filter.after(|| it.meta.changed_at))
        };
        Self {
            users: tables
                .users
                .iter()
                .filter(|(_, it)| filter.after(|| it.meta.changed_at))
                .map(|(id, _)| *id)
                .collect(),
            revisions: revisions()
                .filter(|(_, it)| filter.after(|| it.meta.changed_at) || course_moved(it.course_id))
                .map(|(id, _)| *id)
                .collect(),
            of_courses,
        }
    }
}
