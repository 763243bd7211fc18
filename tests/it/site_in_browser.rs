//! The site of a registry in a real browser.
//!
//! Pictures of the pages are kept in `target/screenshots`, and each test prints the folder.

use std::io::Write as _;

use jiff::Timestamp;
use kf_toolchains::chromium::Chromium;
use kf_toolchains::skip;

use crate::common::chromium::{Look, Page, Session, fetched, screenshots, serve};
use crate::site::{Registry, first_party, forge_hostile};

const NARROW: Look = Look { width: 360, dark: false, scripts: true };

/// Chromium, or none if the test is skipped.
#[track_caller]
fn chromium(test: &str) -> Option<Chromium> {
    let found = fetched();
    if skip::unless(found.as_ref().map(drop), test) {
        return None;
    }
    found.ok()
}

/// Keeps pictures, and names their folder past the capture of the test runner.
fn keep(page: &Page, look: Look, name: &str) {
    page.screenshot(name, look);
    let path = screenshots().join(format!("{name}.png"));
    let _ = writeln!(std::io::stderr().lock(), "screenshot: {}", path.display());
}

/// Every request is for the site itself, and its policy was not violated.
#[track_caller]
fn assert_contained(page: &Page, site: &str) {
    let requests = page.requests();
    assert!(!requests.is_empty(), "the requests were not seen");
    let outside: Vec<_> = requests.iter().filter(|url| !url.starts_with(site)).collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert_eq!(page.violations(), serde_json::json!([]));
}

#[test]
fn search_finds_by_name_summary_and_right_and_counts() {
    let Some(chromium) = chromium("search_finds_by_name_summary_and_right_and_counts") else { return };
    let (_home, out) = first_party();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let look = Look::default();
    let page = session.open(&site, look);
    keep(&page, look, "index");
    let names = "[...document.querySelectorAll('#results a')].map((link) => link.textContent)";
    let count = "document.getElementById('count').textContent";
    page.value("document.getElementById('query').focus()");
    page.type_text("train");
    page.wait(&format!("{count} !== ''"));
    assert_eq!(page.value(names)[0], "train");
    assert!(page.is("document.getElementById('browse').hidden"));
    keep(&page, look, "search");
    // Each word must match; accents and case do not matter.
    for (query, expected) in [
        ("jupyter open", "jupyter"),
        ("  JÚPYTER ", "jupyter"),
        ("FINALIZERS of config", "train"),
        ("dangerous", "create"),
        ("secrets with their data", "nothing"),
    ] {
        page.go(&format!("{site}/index.html?q={}", query.replace(' ', "+")));
        page.wait(&format!("{count} !== ''"));
        let found = page.value(names);
        let found: Vec<&str> = found.as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
        let shown = page.text(count);
        let announced = match found.len() {
            0 => format!("No command matches “{}”", query.trim()),
            1 => "1 command matches".to_owned(),
            many => format!("{many} commands match"),
        };
        assert_eq!(shown, announced, "{query}");
        assert_eq!(found.contains(&expected), expected != "nothing", "{query}: {found:?}");
        assert_eq!(page.text("document.getElementById('query').value"), query, "{query}");
    }
    assert_eq!(page.text("document.getElementById('count').getAttribute('role')"), "status");
    // The search of another page leads to the list.
    page.go(&format!("{site}/commands/hello.html"));
    page.value("document.getElementById('query').focus()");
    page.type_text("notebook");
    page.press("Enter");
    page.wait(&format!("location.search === '?q=notebook' && {count} !== ''"));
    assert_eq!(page.value(names)[0], "notebook");
    assert_contained(&page, &site);
}

#[test]
fn command_page_is_reached_by_keyboard_alone() {
    let Some(chromium) = chromium("command_page_is_reached_by_keyboard_alone") else { return };
    let (_home, out) = first_party();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let page = session.open(&site, Look::default());
    let focused = "(document.activeElement.textContent || document.activeElement.name)";
    let is_visible = "document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle === 'solid'";
    page.press("Tab");
    assert_eq!(page.text(focused), "Skip to content");
    assert!(page.is(is_visible));
    page.press("Enter");
    page.wait("document.activeElement.id === 'content'");
    page.press("Tab");
    assert_eq!(page.text(focused), "q");
    assert!(page.is(is_visible));
    page.type_text("whoami");
    page.wait("document.querySelectorAll('#results a').length > 0");
    page.press("Tab");
    assert_eq!(page.text(focused), "whoami");
    assert!(page.is(is_visible));
    page.press("Enter");
    page.wait("location.pathname === '/commands/whoami.html' && document.readyState === 'complete'");
    assert!(page.text("document.querySelector('h1').textContent").starts_with("whoami"));
    assert_contained(&page, &site);
}

/// The pages of a small site.
const PAGES: [&str; 5] =
    ["index.html", "registry.html", "commands/train.html", "commands/shell.html", "commands/hello.html"];

#[test]
fn pages_fit_narrow_and_wide_screens_in_light_and_dark() {
    let Some(chromium) = chromium("pages_fit_narrow_and_wide_screens_in_light_and_dark") else { return };
    let (_home, out) = first_party();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let dark = Look { dark: true, ..Look::default() };
    let page = session.open(&site, Look::default());
    let mut backgrounds = Vec::new();
    for (name, look) in [("light", Look::default()), ("dark", dark), ("narrow", NARROW)] {
        page.look(look);
        for path in PAGES {
            page.go(&format!("{site}/{path}"));
            let width = page.value("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(width <= u64::from(look.width), "{path} is {width} pixels wide");
            let contrast = page.value(LOW_CONTRAST);
            assert_eq!(contrast, serde_json::json!([]), "{path}, {name}");
            let stem = path.trim_end_matches(".html").replace('/', "-");
            keep(&page, look, &format!("{stem}-{name}"));
        }
        backgrounds.push(page.text("getComputedStyle(document.body).backgroundColor"));
    }
    assert_eq!(backgrounds, ["rgb(255, 255, 255)", "rgb(16, 20, 26)", "rgb(255, 255, 255)"]);
    // Every other page, too.
    page.look(NARROW);
    for entry in fs_err::read_dir(out.join("commands")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        page.go(&format!("{site}/commands/{name}"));
        let width = page.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(width <= u64::from(NARROW.width), "{name} is {width} pixels wide");
    }
    assert_contained(&page, &site);
}

/// The texts with a contrast below 4.5 to 1, as WCAG computes it.
const LOW_CONTRAST: &str = r#"(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => {
      const c = part / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (text === "" || element.closest("script") || !element.checkVisibility()) continue;
    const pair = [luminance(parts(getComputedStyle(element).color)), luminance(background(element))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) low.push(text.slice(0, 40) + " " + ratio.toFixed(2));
  }
  return low;
})()"#;

#[test]
fn pages_have_landmarks_headings_and_labels() {
    let Some(chromium) = chromium("pages_have_landmarks_headings_and_labels") else { return };
    let (_home, out) = first_party();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let page = session.open(&site, Look::default());
    for path in PAGES {
        page.go(&format!("{site}/{path}"));
        assert_eq!(page.text("document.documentElement.lang"), "en");
        for landmark in ["body > header", "main", "body > footer", "nav[aria-label]", "form[role=search]"] {
            assert_eq!(
                page.value(&format!("document.querySelectorAll('{landmark}').length > 0")),
                true,
                "{path}: {landmark}"
            );
        }
        assert_eq!(page.value("document.querySelectorAll('h1').length"), 1, "{path}");
        let skipped = "[...document.querySelectorAll('h1,h2,h3,h4')].filter((heading, at, all) =>
            at > 0 && Number(heading.tagName[1]) > Number(all[at - 1].tagName[1]) + 1).map((heading) => heading.textContent)";
        assert_eq!(page.value(skipped), serde_json::json!([]), "{path}");
        let unlabelled =
            "[...document.querySelectorAll('input')].filter((input) => input.labels.length === 0).length
            + [...document.querySelectorAll('a')].filter((link) => link.textContent.trim() === '').length";
        assert_eq!(page.value(unlabelled), 0, "{path}");
        let repeated = "[...document.querySelectorAll('[id]')].map((element) => element.id).filter((id, at, all) => all.indexOf(id) !== at)";
        assert_eq!(page.value(repeated), serde_json::json!([]), "{path}");
        let dangling = "[...document.querySelectorAll('[aria-labelledby]')].filter((element) =>
            !document.getElementById(element.getAttribute('aria-labelledby'))).length";
        assert_eq!(page.value(dangling), 0, "{path}");
        assert!(page.text("document.title").ends_with("kubeflow"), "{path}");
    }
    assert_contained(&page, &site);
}

#[test]
fn hostile_text_is_shown_as_text_and_not_run() {
    let Some(chromium) = chromium("hostile_text_is_shown_as_text_and_not_run") else { return };
    let registry = Registry::at(Timestamp::now());
    forge_hostile(&registry);
    registry.site().success();
    let site = serve(&registry.path("site"));
    let session = Session::start(&chromium);
    let look = Look::default();
    let page = session.open(&format!("{site}/index.html?q=hello"), look);
    page.wait("document.querySelectorAll('#results a').length > 0");
    let shown = r#"\u{202e}<script>globalThis.hacked=1</script>\u{1b}[2J'"><img src=https://evil.test/x>"#;
    for path in ["", "commands/hello.html"] {
        if !path.is_empty() {
            page.go(&format!("{site}/{path}"));
        }
        let text = page.text("document.getElementById('content').innerText");
        assert!(text.contains(shown), "{text}");
        let hidden: Vec<char> =
            text.chars().filter(|c| kf_core::text::is_unsafe(*c) && !"\n\t".contains(*c)).collect();
        assert!(hidden.is_empty(), "{hidden:?}");
        assert!(page.is("typeof hacked === 'undefined' && document.images.length === 0"));
        assert!(page.is("[...document.links].every((link) => link.protocol === 'http:')"));
        assert_contained(&page, &site);
    }
    keep(&page, look, "hostile");
}

/// The policy holds even for markup that a template would have let through.
#[test]
fn policy_blocks_injected_scripts_styles_and_requests() {
    let Some(chromium) = chromium("policy_blocks_injected_scripts_styles_and_requests") else { return };
    let (_home, out) = first_party();
    let path = out.join("commands/hello.html");
    let page = fs_err::read_to_string(&path).unwrap();
    let injected = "<script>globalThis.hacked=1</script><style>main{display:none}</style><p style=\"display:none\">x</p>\
                    <img src=\"https://evil.test/x.png\" onerror=\"globalThis.hacked=2\"><base href=\"https://evil.test/\">\
                    <iframe src=\"https://evil.test/\"></iframe><script src=\"https://evil.test/x.js\"></script></main>";
    fs_err::write(&path, page.replace("</main>", injected)).unwrap();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let page = session.open(&format!("{site}/commands/hello.html"), Look::default());
    page.value("fetch('https://evil.test/').catch(() => { globalThis.fetchRefused = true })");
    page.wait("globalThis.fetchRefused === true");
    assert!(page.is("typeof hacked === 'undefined'"));
    assert_eq!(page.text("getComputedStyle(document.querySelector('main')).display"), "block");
    let violations = page.violations().to_string();
    for directive in [
        "script-src-elem inline",
        "style-src-elem inline",
        "style-src-attr inline",
        "img-src https://evil.test/x.png",
        "base-uri https://evil.test/",
        "frame-src https://evil.test",
        "script-src-elem https://evil.test/x.js",
        "connect-src https://evil.test/",
    ] {
        assert!(violations.contains(directive), "{directive}: {violations}");
    }
}

#[test]
fn pages_can_be_read_without_scripts() {
    let Some(chromium) = chromium("pages_can_be_read_without_scripts") else { return };
    let (_home, out) = first_party();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let look = Look { scripts: false, ..Look::default() };
    let page = session.open(&site, look);
    assert!(page.is("document.querySelectorAll('#browse li').length > 10"));
    assert_eq!(page.text("getComputedStyle(document.getElementById('search')).display"), "none");
    keep(&page, look, "index-without-scripts");
    page.value("document.querySelector('#browse a[href$=\"train.html\"]').focus()");
    page.press("Enter");
    page.wait("location.pathname === '/commands/train.html' && document.readyState === 'complete'");
    assert!(page.text("document.querySelector('.rights').innerText").contains("train may only:"));
    let outside: Vec<_> = page.requests().into_iter().filter(|url| !url.starts_with(&site)).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn search_works_from_a_disk() {
    let Some(chromium) = chromium("search_works_from_a_disk") else { return };
    let (_home, out) = first_party();
    let session = Session::start(&chromium);
    let site = format!("file://{}", out.display());
    let page = session.open(&format!("{site}/index.html"), Look::default());
    page.value("document.getElementById('query').focus()");
    page.type_text("tensorboard");
    page.wait("document.querySelectorAll('#results a').length > 0");
    assert_eq!(page.text("document.querySelector('#results a').textContent"), "tensorboard");
    assert_contained(&page, &site);
}

#[test]
fn outdated_site_says_so() {
    let Some(chromium) = chromium("outdated_site_says_so") else { return };
    let (_home, out) = first_party();
    let site = serve(&out);
    let session = Session::start(&chromium);
    let page = session.open(&site, Look::default());
    assert!(page.is("document.getElementById('expired').hidden"));
    let path = out.join("index.html");
    let text = fs_err::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("data-expires=\"").unwrap();
    let (_, rest) = rest.split_once('"').unwrap();
    fs_err::write(&path, format!("{head}data-expires=\"2020-01-01T00:00:00Z\"{rest}")).unwrap();
    page.go(&format!("{site}/index.html"));
    page.wait("!document.getElementById('expired').hidden");
}
