//! The tasks of a shop.

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Registry, SettingsError};
use serde::{Deserialize, Serialize};

/// What task `orders.ship` takes: its `kwargs`, or its `args` in this order.
#[derive(Deserialize)]
pub struct Ship {
    order: u64,
    #[serde(default)]
    express: bool,
}

/// What it returns.
#[derive(Serialize)]
pub struct Shipped {
    order: u64,
    days: u8,
}

async fn ship(Ship { order, express }: Ship, _: Attempt) -> Result<Shipped, DeliveryError> {
    if order == 0 {
        return Err(DeliveryError::new(ErrorKind::Rejected, "there is no such order"));
    }
    Ok(Shipped { order, days: if express { 1 } else { 3 } })
}

/// Adds the providers of this build, and the shop's own tasks.
///
/// # Errors
/// A setting is wrong.
pub fn tasks(registry: &mut Registry, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
    errand_consumer::providers(registry, env, cx)?;
    registry.task("orders.ship", ship);
    Ok(())
}
