//! Logs, as the bytes they are.

use futures_util::stream::{self, StreamExt as _};
use http::Method;
use http_body_util::BodyExt as _;
use jiff::Timestamp;

use super::Inner;
use super::calls::Place;
use crate::api::{ApiError, ByteStream, ErrorCode, Kind, LogOptions, Reach};
use crate::connection::broken_stream;
use crate::grants::{Access, Verb};
use crate::names::{ContainerName, ObjectName, Resource, Subresource};
use crate::url::Query;

impl Inner {
    pub(super) async fn log(
        &self,
        namespace: Option<String>,
        pod: String,
        options: LogOptions,
    ) -> Result<ByteStream, ApiError> {
        let name = ObjectName::parse(pod)?;
        let pods = Kind { group: String::new(), version: None, kind: "Pod".into() };
        let place = self.place(&pods, namespace.as_deref(), Reach::Namespaced, None).await?;
        let place = Place { name: Some(name), ..place };
        let query = query(&options)?;
        let log = Subresource::parse("log")?;
        let resource = Resource { plural: place.served.plural.clone(), subresource: Some(log.clone()) };
        let access = Access { resource, ..place.access(self, Verb::Get) };
        let rule = self.check(&access)?;
        let permit = self.meter.stream()?;
        let target = place.target(place.name.clone(), Some(log));
        let call = self.call(&place, access, Some(rule), Method::GET, &target, &query)?;
        let body = self.stream(&call).await?.into_body();
        let chunks = stream::unfold(Some((body, permit)), |state| async move {
            let (mut body, permit) = state?;
            loop {
                match body.frame().await? {
                    Err(error) => return Some((Err(broken_stream(&error)), None)),
                    Ok(frame) => {
                        if let Ok(data) = frame.into_data() {
                            return Some((Ok(data.to_vec()), Some((body, permit))));
                        }
                    }
                }
            }
        });
        Ok(chunks.boxed())
    }
}

fn query(options: &LogOptions) -> Result<Query, ApiError> {
    let mut query = Query::default();
    if let Some(container) = &options.container {
        query.set("container", ContainerName::parse(container.as_str())?);
    }
    for (key, set) in
        [("follow", options.follow), ("previous", options.previous), ("timestamps", options.timestamps)]
    {
        if set {
            query.set(key, true);
        }
    }
    if let Some(since) = options.since {
        let time = i64::try_from(since).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let time = time.ok_or_else(|| ApiError {
            code: ErrorCode::Invalid,
            message: format!("{since} ms is no time of ours"),
            hint: None,
            refusal: None,
        })?;
        query.set("sinceTime", time);
    }
    if let Some(lines) = options.tail_lines {
        query.set("tailLines", lines);
    }
    Ok(query)
}
