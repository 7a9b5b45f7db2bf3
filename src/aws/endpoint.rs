//! Where a service is: what the environment says (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), else the region's own endpoint, whose
//! domain the SDK's table of partitions knows.
//!
//! ```text
//! eu-west-1                    https://sqs.eu-west-1.amazonaws.com
//! cn-north-1                   https://sqs.cn-north-1.amazonaws.com.cn
//! us-east-1, FIPS              https://sqs-fips.us-east-1.amazonaws.com
//! eu-west-1, dual stack, S3    https://s3.dualstack.eu-west-1.amazonaws.com
//! ```

use aws_config::SdkConfig;
use aws_sdk_ssm::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_types::service_config::ServiceConfigKey;
use url::Url;

/// A service, by its two names.
pub(super) struct Service {
    /// As the SDK's settings call it: `CloudWatch Logs` is `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS`.
    pub(super) id: &'static str,
    /// As its hosts are called.
    pub(super) host: &'static str,
}

/// Returns the endpoint that the environment or the profile names, if one does.
///
/// # Errors
/// If what it names is no URL.
pub(super) fn configured(sdk: &SdkConfig, service: &Service) -> Result<Option<Url>, String> {
    let key =
        ServiceConfigKey::builder().service_id(service.id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
    let own = key.and_then(|key| sdk.service_config()?.load_config(key));
    let Some(url) = own.or_else(|| sdk.endpoint_url().map(str::to_owned)) else { return Ok(None) };
    let url = Url::parse(&url).map_err(|error| format!("the endpoint of {} is no URL: {error}", service.id))?;
    Ok(Some(url))
}

/// Returns the endpoint of the region, as the SDK knows it of a service whose hosts are named like those of all others.
pub(super) async fn of_region(sdk: &SdkConfig, service: &Service) -> Option<Url> {
    let is_s3 = service.host == "s3";
    let is_dual = sdk.use_dual_stack().unwrap_or(false);
    let params = Params::builder()
        .set_region(sdk.region().map(ToString::to_string))
        .use_fips(sdk.use_fips().unwrap_or(false))
        .use_dual_stack(is_dual && !is_s3)
        .build()
        .ok()?;
    let endpoint = DefaultResolver::new().resolve_endpoint(&params).await.ok()?;
    let rest = endpoint.url().strip_prefix("https://ssm")?;
    let (fips, rest) = rest.split_once('.')?;
    // In GovCloud every endpoint but those of S3 is one.
    let fips = if is_s3 && sdk.use_fips().unwrap_or(false) { "-fips" } else { fips };
    let dual = if is_s3 && is_dual { ".dualstack" } else { "" };
    Url::parse(&format!("https://{}{fips}{dual}.{rest}", service.host)).ok()
}

#[cfg(test)]
mod tests {
    use aws_config::Region;

    use super::*;

    const S3: Service = Service { id: "S3", host: "s3" };
    const SQS: Service = Service { id: "SQS", host: "sqs" };

    #[tokio::test]
    async fn every_partition_has_its_domain() {
        for (region, is_fips, is_dual, service, expected) in [
            ("eu-west-1", false, false, &SQS, "https://sqs.eu-west-1.amazonaws.com/"),
            ("eu-west-1", false, false, &S3, "https://s3.eu-west-1.amazonaws.com/"),
            ("cn-north-1", false, false, &S3, "https://s3.cn-north-1.amazonaws.com.cn/"),
            ("us-gov-west-1", false, false, &SQS, "https://sqs.us-gov-west-1.amazonaws.com/"),
            ("us-east-1", true, false, &SQS, "https://sqs-fips.us-east-1.amazonaws.com/"),
            ("us-gov-west-1", true, false, &S3, "https://s3-fips.us-gov-west-1.amazonaws.com/"),
            ("us-east-1", true, false, &S3, "https://s3-fips.us-east-1.amazonaws.com/"),
            ("eu-west-1", false, true, &SQS, "https://sqs.eu-west-1.api.aws/"),
            ("eu-west-1", false, true, &S3, "https://s3.dualstack.eu-west-1.amazonaws.com/"),
        ] {
            let sdk =
                SdkConfig::builder().region(Region::new(region)).use_fips(is_fips).use_dual_stack(is_dual).build();
            assert_eq!(of_region(&sdk, service).await.expect("an endpoint").as_str(), expected);
        }
    }

    #[test]
    fn an_endpoint_that_is_set_is_taken() {
        let sdk = SdkConfig::builder().endpoint_url("http://127.0.0.1:4566").build();
        assert_eq!(configured(&sdk, &SQS).expect("a URL").expect("an endpoint").as_str(), "http://127.0.0.1:4566/");
        assert_eq!(configured(&SdkConfig::builder().build(), &SQS), Ok(None));
        assert!(configured(&SdkConfig::builder().endpoint_url("localhost").build(), &SQS).is_err());
    }
}
