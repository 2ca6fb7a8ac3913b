//! What a cell can see and do from behind its fence, and what it can't.

use super::*;

/// A stub instead of Envoy may do what only a program of an attacker would.
async fn run_stub(script: &str) -> CellResult {
    let envoys = stub_envoy(script);
    let mut plan = Config::sound().plan("9.9.9");
    plan.policy.ready_timeout = Duration::from_secs(60);
    Runner::with_envoys(envoys.path()).run(plan).await
}

async fn told(script: &str) -> String {
    let result = run_stub(&format!("exec 2>&1; {script}; exit 1")).await;
    assert_eq!(result.proof.unfenced, None, "this kernel gives no namespaces");
    result.reasons.join("\n")
}

#[tokio::test]
async fn nothing_of_the_host_is_told() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let told = told(
        "echo name=$(uname -n) env=$(env | cut -d= -f1 | grep -v -e PWD -e SHLVL -e _ | tr '\\n' ,) \
         root=$(ls / | tr '\\n' ,) etc=$(ls /etc | tr '\\n' ,) net=$(cut -d: -f1 -s /proc/net/dev | tr -d ' \\n') \
         cpu=$(cat /proc/cpuinfo 2>&1 | head -1) pids=$(ls /proc | grep -c '^[0-9]')",
    )
    .await;
    assert!(told.contains("name=convoy-cell env= root="), "{told}");
    assert!(!told.contains(name.trim()), "{told}");
    for hidden in
        ["work,", "home,", "root,", "var,", "passwd", "hostname", "shadow", "eth", "model"]
    {
        let root = told.split("root=").nth(1).unwrap();
        assert!(!root.contains(hidden), "{hidden}: {told}");
    }
}

#[tokio::test]
async fn it_is_nobody_and_can_become_nobody_else() {
    let told = told(
        "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\\t\\n' ' ;'; \
         touch /usr/x /envoy /lib/x /x && echo WROTE; touch /cell/fine && echo may-write-here",
    )
    .await;
    assert!(told.contains("CapEff: 0000000000000000"), "{told}");
    assert!(told.contains("CapBnd: 0000000000000000"), "{told}");
    assert!(told.contains("NoNewPrivs: 1"), "{told}");
    assert!(told.contains("may-write-here") && !told.contains("WROTE"), "{told}");
    if rustix_is_root() {
        let ids = told.split_once("Uid: ").unwrap().1.split(';').next().unwrap();
        let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && (*id == 65534 || *id >= 1 << 30)), "{told}");
    }
}

#[tokio::test]
async fn one_that_forks_without_end_takes_nothing_from_the_next() {
    let (forks, other) = tokio::join!(
        run_stub("f() { sleep 900 & f; }; f 2>/dev/null & sleep 3; exit 1"),
        told("sleep 1; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done; echo it goes on"),
    );
    assert_eq!(forks.outcome, Outcome::Failed, "{forks:#?}");
    assert!(other.contains("it goes on"), "{other}");
}

fn rustix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn the_machines_own_ports_are_out_of_reach() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "python3 - <<'P'\nimport socket\ntry:\n  socket.create_connection(('127.0.0.1', {port}), 2)\n  \
         print('REACHED')\nexcept OSError as e:\n  print('no way:', e)\nP\n"
    );
    let told = told(&script).await;
    assert!(told.contains("no way") && !told.contains("REACHED"), "{told}");
}

#[tokio::test]
async fn one_that_takes_all_memory_is_stopped() {
    let told = told("python3 -c 'bytearray(3 << 30)' || echo it is still here").await;
    assert!(told.contains("MemoryError") && told.contains("it is still here"), "{told}");
}

#[tokio::test]
async fn one_that_fills_the_disk_is_stopped() {
    let result = run_stub("exec head -c 1000000000 /dev/zero > /cell/big").await;
    assert_failed(&result, &["it wrote a file of more than 64 MiB"]);
}

#[tokio::test]
async fn one_that_prints_without_end_fills_nothing() {
    let result = run_stub(
        "echo first words; yes 'noise noise noise' | head -c 20000000; echo last words; exit 1",
    )
    .await;
    assert_failed(&result, &["envoy exited with status 1", "last words"]);
}

#[tokio::test]
async fn one_that_forks_without_end_leaves_nothing() {
    let result =
        run_stub("f() { setsid sh -c 'sleep 1000' & f; }; f 2>/dev/null & sleep 1; exit 1").await;
    assert_eq!(result.outcome, Outcome::Failed, "{result:#?}");
    until_gone(&descendants()).await;
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 1000$"]).output().unwrap();
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    let ours = left.split_whitespace().filter(|pid| {
        let uts = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/uts")).ok();
        uts(pid).is_some_and(|one| Some(one) != uts("self"))
    });
    assert_eq!(ours.count(), 0, "{left}");
}

#[tokio::test]
async fn one_that_hangs_is_ended_in_time() {
    let envoys = stub_envoy("trap '' TERM INT; while :; do sleep 1; done");
    let mut plan = Config::sound().plan("9.9.9");
    plan.policy.ready_timeout = Duration::from_secs(2);
    let result = Runner::with_envoys(envoys.path()).run(plan).await;
    assert_eq!(result.outcome, Outcome::Errored, "{result:#?}");
    assert!(result.reasons[0].contains("envoy opened no admin port in time"), "{result:#?}");
    until_gone(&descendants()).await;
}

#[tokio::test]
async fn without_a_fence_a_run_says_so() {
    let mut runner = Runner::start();
    runner.unfence("/no/such/program");
    let config = Config::sound().file("checks/env.sh", SCRIPT).file("checks/data.txt", "");
    let result = runner.run(config.plan(NEW)).await;
    assert_eq!(result.outcome, Outcome::Passed, "{result:#?}");
    let why = result.proof.unfenced.expect("a reason");
    assert!(why.contains("No such file"), "{why}");
}

/// Every path that an Envoy opens, from its own `execve` on.
fn paths_opened(trace: &str) -> Vec<String> {
    let path = |line: &str| Some(line.split_once('"')?.1.split_once('"')?.0.to_owned());
    let opens = |line: &&str| {
        ["open(", "openat(", "openat2(", "execve(", "creat("].iter().any(|call| line.contains(call))
            && !line.contains("ENOENT")
            && !line.contains("= -1")
    };
    trace.lines().filter(opens).filter_map(path).collect()
}

#[tokio::test]
async fn an_envoy_opens_no_file_outside_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    // A warden that is traced: all that it becomes is followed.
    let (warden, trace) = (dir.path().join("warden"), dir.path().join("trace"));
    let script = format!(
        "#!/bin/sh\nexec strace -ff -qq -e trace=openat,open,openat2,execve,creat,pivot_root \
         -o {} {} \"$@\"\n",
        trace.display(),
        env!("CARGO_BIN_EXE_convoy")
    );
    std::fs::write(&warden, script).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&warden, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut runner = Runner::start();
    runner.unfence(warden.to_str().unwrap());
    let mut plan = Config::sound().file("checks/front.yaml", CHECKS).plan(NEW);
    plan.policy.ready_timeout = Duration::from_secs(60);
    let result = runner.run(plan).await;
    assert_eq!((result.outcome, &result.proof.unfenced), (Outcome::Passed, &None), "{result:#?}");
    let mut traced = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        // Before it, the way there; after it, Envoy and its threads.
        let Some((_, after)) = text.split_once("execve(\"/envoy\"") else { continue };
        traced += 1;
        for path in paths_opened(after) {
            let is_own = !path.starts_with('/') || path.starts_with("/cell/");
            let is_library = path.ends_with(".so") || path.contains(".so.");
            let is_device = ["/dev/null", "/dev/urandom", "/dev/random"].contains(&path.as_str());
            assert!(is_own || is_library || is_device, "opened {path}");
        }
    }
    assert_eq!(traced, 1, "strace saw no Envoy: is it installed?");
}
