//! What the user chose: layers of text become checked, plain structs once, and nothing after sees
//! raw text.

pub mod problem;
pub mod settings;

pub use problem::{Problem, Severity};
pub use settings::Settings;
