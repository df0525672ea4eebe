use super::{Context, Exit};

pub(crate) async fn run(_context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
