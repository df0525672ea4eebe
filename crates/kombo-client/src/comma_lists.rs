/// Filters that are each sent as one comma-separated value. Part of the sealed [`Listed`].
pub trait CommaLists {
    /// Appends the parameters that are not empty.
    #[doc(hidden)]
    fn append(&self, parameters: &mut Vec<(&'static str, String)>) -> Result<(), &'static str>;
}

impl CommaLists for () {
    fn append(&self, _: &mut Vec<(&'static str, String)>) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Omits an empty list: Kombo might read it as a filter that matches nothing.
pub(crate) fn comma_list(
    parameters: &mut Vec<(&'static str, String)>,
    name: &'static str,
    items: &[impl AsRef<str>],
) -> Result<(), &'static str> {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if items.iter().any(|item| item.contains(',')) {
        return Err("a filter holds an item with a comma, which Kombo would read as two");
    }
    if items.iter().any(|item| item.trim().is_empty()) {
        return Err("a filter holds a blank item, which Kombo might read as no filter");
    }
    if !items.is_empty() {
        parameters.push((name, items.join(",")));
    }
    Ok(())
}
