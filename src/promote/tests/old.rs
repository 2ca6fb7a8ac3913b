//! Documents as earlier versions recorded them are read as they were meant.

use super::*;

const PROMOTION: &str = r#"{
  "id": "P-3", "repo": "mesh/config", "stage": "staging", "bundle": "b-0123456789ab",
  "kind": "promote", "requested_by": {"person": "bob", "via": "slack"},
  "requested_at": "2026-11-01T10:00:00Z", "reason": "because", "status": "STATUS",
  "plan": {"digest": "abababababababababababababababababababababababababababababababab",
    "epoch": 2, "from": "b-ba9876543210", "to": "b-0123456789ab",
    "diff": {"added": 1, "changed": 2, "removed": 0}},
  "approvals": [{"by": "cleo", "via": "web",
    "plan": "abababababababababababababababababababababababababababababababab",
    "at": "2026-11-01T10:05:00Z", "note": "fine"}],
  "gates": [{"kind": "valid", "open": true, "detail": "no problems"},
    {"kind": "approvals", "open": true, "detail": "1 of 1: cleo"},
    {"kind": "free", "open": false, "detail": "P-2 is being applied"}],
  "applied_at": null, "ending": null
}"#;

const SLOT: &str = r#"{
  "repo": "mesh/config", "stage": "staging", "current": "b-ba9876543210",
  "last_good": "b-ba9876543210", "before_last_good": null, "epoch": 2,
  "since": "2026-11-01T09:00:00Z", "by": {"person": null, "via": "system"},
  "hold": {"by": {"person": "bob", "via": "cli"}, "reason": "it is slow",
    "at": "2026-11-01T09:30:00Z"}
}"#;

const BUNDLE: &str = r#"{
  "id": "b-0123456789ab", "repo": "mesh/config",
  "commit": {"revision": 7, "commit": "0101010101010101010101010101010101010101",
    "author_name": "Ann", "author_email": "ann@example.com", "co_authors": [],
    "time": "2026-11-01T08:00:00Z", "message": "change"},
  "authors": ["ann"], "at": "2026-11-01T08:01:00Z", "status": "eligible",
  "manifest": {"stages": [
      {"name": "beta", "envoy_versions": ["1.40.0"], "approvals": 0, "auto": true,
        "soak_seconds": 0, "approvers": [], "nodes": [],
        "smoke": {"checks": ["**"], "ready_timeout": {"secs": 15, "nanos": 0},
          "check_timeout": {"secs": 10, "nanos": 0}}},
      {"name": "staging", "envoy_versions": [], "approvals": 1, "auto": false,
        "soak_seconds": 60, "approvers": ["cleo"], "nodes": [],
        "smoke": {"checks": ["**"], "ready_timeout": {"secs": 15, "nanos": 0},
          "check_timeout": {"secs": 10, "nanos": 0}}}],
    "groups": [{"name": "default", "nodes": []}]},
  "problems": [], "findings": [], "render": {}, "matrix": [],
  "verified": {"beta": "2026-11-01T08:30:00Z"}
}"#;

#[test]
fn documents_of_earlier_versions_are_read_and_go_on() {
    let words = [
        ("gated", Status::Gated),
        ("applying", Status::Applying),
        ("succeeded", Status::Succeeded),
        ("noop", Status::Noop),
        ("rejected", Status::Rejected),
        ("cancelled", Status::Cancelled),
        ("superseded", Status::Superseded),
        ("failed", Status::Failed),
        ("rolling_back", Status::RollingBack),
        ("rolled_back", Status::RolledBack),
        ("failed_held", Status::Failed),
    ];
    for (word, status) in words {
        let promotion: Promotion =
            serde_json::from_str(&PROMOTION.replace("STATUS", word)).unwrap();
        assert_eq!(promotion.status, status, "{word}");
        assert_eq!((promotion.step, promotion.course), (None, None));
    }
    let slot: StageSlot = serde_json::from_str(SLOT).unwrap();
    assert_eq!((slot.version(), &slot.pin, &slot.candidate), ("2.0".into(), &None, &None));
    let bundle: BundleRecord = serde_json::from_str(BUNDLE).unwrap();
    assert_eq!((&bundle.paths, bundle.vetoes.len()), (&None, 0));
    assert_eq!(bundle.manifest.stages[1].rollout, None);
}

#[test]
fn what_was_applying_when_an_earlier_version_stopped_can_end() {
    let mut world = World::new();
    let applying = PROMOTION
        .replace("STATUS", "applying")
        .replace(r#""applied_at": null"#, r#""applied_at": "2026-11-01T10:06:00Z""#);
    let mut slot: StageSlot = serde_json::from_str(SLOT).unwrap();
    slot.current = Some(BundleId::new("b-0123456789ab").unwrap());
    let documents = [
        Document::Bundle(Box::new(serde_json::from_str(BUNDLE).unwrap())),
        Document::Slot(slot),
        Document::Promotion(Box::new(serde_json::from_str(&applying).unwrap())),
    ];
    documents.into_iter().for_each(|document| world.state.put(document));
    let id = PromotionId::numbered(3);
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&id), Status::Applying);
    let mut refused = World { state: world.state.clone(), ..World::new() };
    world.settle(&id);
    assert_eq!(world.status(&id), Status::Succeeded);
    refused.send(Event::Refused { id: id.clone(), detail: "no".into() }).unwrap();
    assert_eq!(refused.status(&id), Status::RollingBack);
    refused.settle(&id);
    assert_eq!(refused.status(&id), Status::RolledBack);
}

#[test]
fn every_document_is_read_back_as_it_was_written() {
    for status in Status::ALL {
        let mut promotion: Promotion =
            serde_json::from_str(&PROMOTION.replace("STATUS", "gated")).unwrap();
        promotion.status = status;
        let written = serde_json::to_string(&promotion).unwrap();
        assert_eq!(serde_json::from_str::<Promotion>(&written).unwrap(), promotion);
    }
    for kind in GateKind::ALL {
        let written = serde_json::to_string(&kind).unwrap();
        assert_eq!(serde_json::from_str::<GateKind>(&written).unwrap(), kind);
        assert_eq!(GateKind::from_word(written.trim_matches('"')), Some(kind));
        assert_eq!(GateKind::from_word(kind.word()), Some(kind));
    }
}
