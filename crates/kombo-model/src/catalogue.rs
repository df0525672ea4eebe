//! What Kombo has: categories, endpoints, models, columns, and what is nested in what.
//!
//! Everything here follows from the files in the folder `catalogue` of this crate, one for each category. They are
//! written to be read; `docs/adding-a-model.md` explains them.
//!
//! ```
//! use kombo_model::catalogue::{Endpoint, Model};
//!
//! let courses: Endpoint = "lms/courses".parse()?;
//! assert_eq!(courses.lists(), Model::LmsCourses);
//! assert_eq!(Model::LmsCourseRevisions.owner(), courses);
//! assert_eq!(Model::LmsCourseRevisions.parent_column(), Some("course_id"));
//! # Ok::<(), kombo_model::UnknownEndpoint>(())
//! ```

mod endpoint;
mod model;
mod record;
mod record_in_part;
mod record_json;
mod shape;

pub use endpoint::{
    Category, EndpointInfo, EndpointSelection, Filter, FilterKind, LeftOut, UnknownCategory, UnknownEndpoint,
};
pub use model::{Column, ColumnKind, ModelInfo};
pub use record::{Content, Field, Node, Record};
pub use shape::{Join, Nested, Shape, Slot, SlotTo, Source};

// The enums `Endpoint` and `Model` with their tables.
include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));
