//! README's first screen, done word for word in an empty folder: its commands, its program, and what it promises.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tests::{Client, Folder, Process, free_port};

/// The first block of a language in the README.
fn block<'a>(readme: &'a str, language: &str) -> &'a str {
    let (_, block) = readme.split_once(&format!("\n```{language}\n")).unwrap();
    block.split_once("\n```").unwrap().0
}

#[test]
#[ignore = "needs minutes and the registry: builds the README's application"]
fn the_first_screen_makes_an_application_with_dashboard_prometheus_and_reset() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(workspace.join("README.md")).unwrap();
    // Not within the workspace, whose member a new package would become.
    let folder = Folder::new("first-screen");
    symlink(workspace, folder.path().join("metrics")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("applications");
    let run = |command: &mut Command| {
        let output = command.env("CARGO_TARGET_DIR", &target).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, said) =
        run(Command::new("bash").args(["-ec", block(&readme, "sh")]).current_dir(folder.path()));
    assert!(done, "{said}");

    // Only the port is another one, since others use theirs.
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let program = block(&readme, "rust").replace("127.0.0.1:8080", &addr.to_string());
    assert!(program.contains(&addr.to_string()) && program.lines().count() <= 15, "{program}");
    let orders = folder.path().join("orders");
    let build = |program: &str| {
        fs::write(orders.join("src/main.rs"), program).unwrap();
        run(Command::new(env!("CARGO")).args(["build", "--quiet"]).current_dir(&orders))
    };
    // The workspace's versions, most of which are built.
    fs::copy(workspace.join("Cargo.lock"), orders.join("Cargo.lock")).unwrap();
    assert_eq!(build(&program), (true, String::new()), "it builds without a warning");

    let mut service = Process::start(&mut Command::new(target.join("debug/orders")));
    service.until("it listens", || TcpStream::connect(addr).ok());
    let client = Client::to(addr);
    assert_eq!(client.send("GET", "/nothing").status, 404);
    let page = client.send("GET", "/api/metrics/");
    assert!(page.status == 200 && page.body.contains("<html"), "{page:?}");
    let scrape = client.send("GET", "/metrics");
    assert!(
        scrape.body.contains("http_requests_total{method=\"GET\",route=\"_unmatched\",status=\"404\"} 1")
    );
    assert_eq!(client.metrics("POST", "reset")["total_calls"], 1);
    assert_eq!(client.metrics("GET", "summary")["total_calls"], 0);

    assert!(service.terminate().success());

    // The next step of many, for which the default features are not enough.
    let (done, said) =
        build(&program.replace(".reset_without_token()", ".alert_webhook(\"http://127.0.0.1:1/\")"));
    assert!(!done && said.contains("`alert_webhook` needs the cargo feature `alert-webhook`"), "{said}");
    assert!(said.contains("cargo add metrics-actix --features alert-webhook"), "{said}");
}
