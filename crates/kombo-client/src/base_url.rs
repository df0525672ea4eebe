use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// Parses the address that Kombo's paths are appended to. A trailing slash makes no difference.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("{error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme is {}, not http or https", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("there is no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password; the API key goes elsewhere".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Host and port, as shown in errors.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Host and port of the proxy that the environment sets for this address, without its credentials.
pub(crate) fn proxy(url: &Url) -> Option<Box<str>> {
    if is_loopback(url) {
        return None;
    }
    // The same rules as in the HTTP client.
    let intercept = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let proxy: Url = intercept.uri().to_string().parse().ok()?;
    Some(host(&proxy).into_boxed_str())
}

/// Returns the environment variables that are set to name a proxy, but not to an address that the HTTP client can use. It
/// ignores them, so that requests bypass the proxy.
pub fn unusable_proxies() -> Vec<&'static str> {
    const NAMES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_usable = |name: &str| std::env::var(name).is_ok_and(|value| names_proxy(&value));
    NAMES.into_iter().filter(is_set).filter(|name| !is_usable(name)).collect()
}

fn names_proxy(value: &str) -> bool {
    let address = "https://kombo.invalid".parse().ok();
    let proxy = address.and_then(|address| Matcher::builder().all(value).build().intercept(&address));
    let url = proxy.and_then(|proxy| proxy.uri().to_string().parse::<Url>().ok());
    url.is_some_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

/// Whether the address belongs to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
