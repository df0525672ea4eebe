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

/// Whether the address belongs to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
