//! What models cost, as `policy::prices` says, and how fast nodes are, which it is told.

use std::sync::MutexGuard;

use actors::cluster::directory::Directory;
use actors::guarded::Guarded;
use policy::prices::{NoPrice, Priced, Prices};
use protocol::manage::PricedModel;
use providers::Pool;

/// What models cost.
#[derive(Debug)]
pub struct Pricing {
    prices: Guarded<Prices>,
}

impl Pricing {
    /// As the settings say.
    pub fn new(config: &protocol::config::Config) -> Self {
        Self { prices: Guarded::new(Prices::new(&config.prices, &config.placement)) }
    }

    /// What a model costs now, and where that is from. A provider's model by the provider's name for it.
    ///
    /// # Errors
    /// Nobody has said, and the settings refuse what has no price.
    pub fn of(&self, model: &str, provider: Option<&str>) -> Result<Priced, NoPrice> {
        self.prices().of(model, provider)
    }

    /// What all models cost that have a price of their own or are served.
    pub fn all(&self, directory: &Directory, pool: &Pool) -> Vec<PricedModel> {
        let (own, prices) = (directory.models(), self.prices());
        let mut all = prices.all(own.iter().map(|card| card.model.as_str()));
        for served in pool.models().flat_map(|model| pool.serving(model)) {
            let name = format!("{}/{}", served.provider, served.upstream);
            if let Ok(Priced { price, source }) = prices.of(&served.upstream, Some(&served.provider))
                && all.iter().all(|known| known.model != name)
            {
                all.push(PricedModel { model: name, price, source });
            }
        }
        all
    }

    /// Hears how fast nodes are: where a price is by the hour, it follows from that.
    pub fn measure(&self, directory: &Directory) {
        let speeds = directory.speeds();
        let mut prices = self.prices();
        for speed in speeds {
            prices.observe(&speed.model, speed.rates, speed.batch);
        }
    }

    fn prices(&self) -> MutexGuard<'_, Prices> {
        self.prices.lock()
    }
}
