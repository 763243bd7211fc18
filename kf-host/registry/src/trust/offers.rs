//! The catalogue of a session: fetched once for each snapshot, and kept in the cache.

use kf_core::Digest;
use kf_home::Home;
use kf_home::trusted::OwnPath;

use super::{Session, from_failure};
use crate::catalogue::{self, Offer, Offers, Pin};
use crate::error::{Error, Result};
use crate::index::Listed;
use crate::publish::stored;

impl Session {
    /// Every command that the registry offers, for lists. See [`catalogue`](crate::catalogue) for who vouches for it.
    ///
    /// Without a catalogue, as in a registry that another program wrote, every command is loaded.
    ///
    /// # Errors
    ///
    /// It cannot be fetched, or is not the one in the snapshot.
    pub fn offers(&mut self) -> Result<Offers> {
        match self.catalogue()? {
            Some(bytes) => catalogue::parse(&bytes).map_err(|error| self.untrusted(error.to_string())),
            None => {
                self.load_all()?;
                let offer = |listed: &Listed| Offer::new(&listed.entry, listed.newest());
                Ok(self.view.plugins.iter().map(|(name, listed)| (name.clone(), offer(listed))).collect())
            }
        }
    }

    /// The names and summaries that are known on this machine. Nothing is fetched.
    pub fn known_offers(&self) -> Vec<(String, String)> {
        let cached = self.pin().and_then(|pin| self.cached_catalogue(pin));
        let offers = cached.and_then(|bytes| catalogue::parse(&bytes).ok()).unwrap_or_default();
        let offers = offers.into_iter().map(|(name, offer)| (name.to_string(), offer.summary));
        let listed = self.listed().map(|(name, entry)| (name.to_string(), entry.summary.clone()));
        listed.chain(offers).collect()
    }

    /// How many commands the registry offers.
    pub fn offered(&self) -> usize {
        self.pin().map_or_else(|| self.listed().count(), |pin| pin.commands)
    }

    /// The bytes of the catalogue; none if the registry has none.
    pub(crate) fn catalogue(&self) -> Result<Option<Vec<u8>>> {
        let Some(pin) = self.pin() else { return Ok(None) };
        if let Some(bytes) = self.cached_catalogue(pin) {
            return Ok(Some(bytes));
        }
        if pin.length > catalogue::MAX_BYTES {
            return Err(self.untrusted(format!(
                "its catalogue is {} bytes long, more than {}",
                pin.length,
                catalogue::MAX_BYTES
            )));
        }
        let Some(transport) = &self.transport else {
            return Err(Error::Unreachable {
                registry: self.registry.clone(),
                reason: "its list of commands is not cached".into(),
            });
        };
        self.deadline.restart(self.fetch_limit);
        let path = format!("targets/{}", stored(catalogue::PATH, pin.sha256));
        // A copy of the registry may be without it.
        let Some(bytes) =
            transport.get(&path, pin.length).map_err(|failure| from_failure(&self.registry, &failure))?
        else {
            return Ok(None);
        };
        let found = Digest::of(&bytes);
        if found != pin.sha256 {
            return Err(self.untrusted(format!("{path} has sha256 {found}, expected {}", pin.sha256)));
        }
        if let Some(path) = self.home.as_ref().map(|home| self.cache(home)) {
            let _only_a_cache = path.write(&bytes);
        }
        Ok(Some(bytes))
    }

    /// The catalogue that the snapshot names.
    pub(crate) fn pin(&self) -> Option<Pin> {
        Pin::of(&self.client.updater.trusted().snapshot()?.extra)
    }

    fn cached_catalogue(&self, pin: Pin) -> Option<Vec<u8>> {
        let bytes = self.cache(self.home.as_ref()?).read(catalogue::MAX_BYTES).ok()??;
        (Digest::of(&bytes) == pin.sha256).then_some(bytes)
    }

    fn cache(&self, home: &Home) -> OwnPath {
        home.cache.at("catalogues").at(format!("{}.json", self.registry))
    }
}
