//! The status page in a real browser: by keyboard, on a phone, with dark colours.

use kombo_sandbox::FIRST_INTEGRATION;
use serde_json::Value;
use sync_core::jobs::IntegrationStatus;

use crate::browser::Browser;
use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, change};
use crate::page::{HOSTILE, TOKEN, hostile_world};

/// Returns the lowest contrast of any text with its background, and that text.
const CONTRAST: &str = r"(() => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  let worst = [99, ''];
  for (const element of document.querySelectorAll('main *, header *, footer *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst[0]) worst = [contrast, element.textContent.trim().slice(0, 40)];
  }
  return worst;
})()";

fn assert_readable(browser: &mut Browser, page: &str) -> Value {
    let overflow = browser.value("document.documentElement.scrollWidth - innerWidth");
    assert!(overflow.as_i64().unwrap() <= 0, "{page} is {overflow} pixels too wide");
    for scheme in ["dark", "light"] {
        browser.prefer(scheme);
        let worst = browser.value(CONTRAST);
        assert!(worst[0].as_f64().unwrap() >= 4.5, "{page}, {scheme}: {worst}");
    }
    assert!(browser.is("document.querySelectorAll('h1').length === 1 && !!document.title"), "{page}");
    let unnamed =
        "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(x => !x.labels.length).length";
    assert_eq!(browser.value(unnamed), 0, "{page}: a field without a label");
    browser.value("getComputedStyle(document.body).backgroundColor")
}

#[test]
fn a_person_signs_in_looks_and_acts() {
    let place = Place::new();
    let (world, user) = hostile_world(Backend::Sqlite, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    for number in 0..7 {
        assert_eq!(daemon.webhook(&change(&world, FIRST_INTEGRATION, number)).status, 200);
    }
    look.wait_until_settled(&world);

    let url = format!("http://{}", place.operations);
    let mut browser = Browser::start();
    browser.resize(390, 844, true);
    browser.open(&url);
    assert_readable(&mut browser, "sign in");
    browser.complaints.retain(|complaint| !complaint.contains("401"));
    assert!(browser.is("document.activeElement.name === 'token'"), "the field has the focus");
    browser.type_text("wrong");
    browser.press("Enter");
    browser.wait_for("!!document.querySelector('[role=alert]') && document.activeElement.name === 'token'");
    browser.type_text(TOKEN);
    browser.press("Enter");
    browser.wait_for("document.querySelector('h1')?.textContent === 'Status' && document.readyState === 'complete'");
    browser.complaints.retain(|complaint| !complaint.contains("401"));
    assert_eq!(browser.value("document.cookie"), "", "no script reads the cookie");

    let integration = format!("/integration?id={FIRST_INTEGRATION}");
    let record = format!("/record?integration={FIRST_INTEGRATION}&id={user}");
    for path in ["/", &integration, "/runs", "/run?id=1", &record] {
        browser.resize(390, 844, true);
        browser.open(&format!("{url}{path}"));
        assert_readable(&mut browser, path);
        browser.resize(1_000, 900, false);
        assert_readable(&mut browser, path);
    }
    let shown = browser.value("document.querySelector('main').textContent");
    assert!(shown.as_str().unwrap().contains(HOSTILE), "it is shown as text");
    assert!(browser.is("window.pwned === undefined && !document.querySelector('main img, main script')"));

    // By keyboard: first along the navigation, where the focus is visible.
    browser.open(&url);
    browser.press("Tab");
    assert!(browser.is("document.activeElement.className === 'skip'"));
    assert!(browser.is("getComputedStyle(document.activeElement).outlineStyle === 'solid'"));
    assert!(browser.is("!document.getElementById('refresh-label').hidden"), "the script runs");
    assert!(browser.is("document.querySelectorAll('svg[role=img] rect').length >= 24"));
    browser.prefer("light");
    browser.open(&url);
    browser.screenshot("status.png");
    browser.resize(390, 844, true);
    browser.prefer("dark");
    browser.open(&format!("{url}{integration}"));
    browser.screenshot("integration-phone-dark.png");

    browser.value("document.querySelector('button[value=pause]').focus()");
    browser.press("Enter");
    browser.wait_for("!!document.querySelector('[role=status]')?.textContent.startsWith('Paused')");
    assert_eq!(look.read(|tx| tx.integrations())[0].status, IntegrationStatus::Held);
    browser.wait_for("!location.search.includes('done')");
    browser.value("document.querySelector('button[value=resume]').click()");
    browser.wait_for("!!document.querySelector('[role=status]')?.textContent.startsWith('Resumed')");
    look.assert_faithful_in_the_end(&world);
    assert_eq!(browser.complaints, Vec::<String>::new(), "the policy lets everything pass that the page needs");
    daemon.stop();
}
