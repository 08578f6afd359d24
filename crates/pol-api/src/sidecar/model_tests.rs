use super::*;
use crate::sidecar::Decision;

const fn state() -> ModelState {
    ModelState {
        model_head: ModelHead([1; 32]),
        updates: 9,
        root: ResultRoot([2; 32]),
        finalized_head: ModelHead([3; 32]),
        finalized_updates: 7,
        behind: 1,
        chain_head: ModelHead([4; 32]),
        confirmed: true,
    }
}

#[test]
fn a_state_survives_the_wire_and_a_name_of_another_length_is_refused() {
    let message = v1::ModelStateResponse { state: Some((&state()).into()) };
    assert_eq!(ModelState::try_from(&message), Ok(state()));
    let short = v1::ModelState { root: vec![1; 31].into(), ..(&state()).into() };
    assert!(matches!(ModelState::try_from(&short), Err(ConvertError::Length { field: "root", found: 31, .. })));
    assert_eq!(ModelState::try_from(&v1::ModelStateResponse::default()), Err(ConvertError::Missing { field: "state" }));
}

#[test]
fn what_is_to_be_judged_survives_the_wire_and_is_bounded() {
    for request in [Validate::Known(UpdateId([1; 32])), Validate::Container(vec![1; DELTA_BYTES].into())] {
        assert_eq!(Validate::try_from(v1::ValidateRequest::from(request.clone())), Ok(request));
    }
    let long = v1::ValidateRequest::from(Validate::Container(vec![1; DELTA_BYTES + 1].into()));
    assert!(matches!(Validate::try_from(long), Err(ConvertError::TooLong { field: "container", .. })));
    assert!(Validate::try_from(v1::ValidateRequest::from(Validate::Known(UpdateId::ZERO))).is_err());
    assert_eq!(Validate::try_from(v1::ValidateRequest::default()), Err(ConvertError::Missing { field: "update" }));
}

#[test]
fn an_answer_survives_the_wire_and_its_reason_cannot_steer_a_terminal() {
    let verdict = Verdict {
        update_id: UpdateId([1; 32]),
        model_head: ModelHead([2; 32]),
        decision: Decision::Abstain,
        losses: None,
        full_set: false,
        first_seen_unix_ms: 1,
        decided_unix_ms: 2,
    };
    let validated = Validated { verdict, reason: "a\u{1b}b".to_owned(), tokens: 3, milliseconds: 4 };
    let received = Validated::try_from(v1::ValidateResponse::from(&validated)).unwrap();
    assert_eq!(received, Validated { reason: "a?b".to_owned(), ..validated });
    let steering = v1::ValidateResponse { reason: "\u{1b}".to_owned(), ..(&received).into() };
    assert!(matches!(Validated::try_from(steering), Err(ConvertError::Text { field: "reason", .. })));
}

fn files() -> Vec<ExportedFile> {
    let file = |name: &str, length| ExportedFile { name: name.to_owned(), bytes: vec![7; length].into() };
    vec![file("adapter_config.json", 10), file("adapter_model.safetensors", 200_000)]
}

fn read(messages: impl IntoIterator<Item = v1::ExportAdapterResponse>) -> Result<Vec<ExportedFile>, ExportError> {
    let mut reader = ExportReader::new(300_000);
    messages.into_iter().try_for_each(|message| reader.push(message))?;
    reader.finish()
}

#[test]
fn an_export_arrives_whole_or_not_at_all() {
    let messages: Vec<_> = export_messages(ModelHead([1; 32]), files()).collect();
    assert_eq!(read(messages.clone()), Ok(files()));
    for end in 0..messages.len() {
        let cut = read(messages.iter().take(end).cloned());
        // Only after the whole first file is there something that looks complete.
        assert!(cut.is_err() || cut == Ok(files().into_iter().take(1).collect()), "{end}");
    }
    assert_eq!(read(messages.into_iter().skip(1)), Err(ChunkError::NoHeader.into()));
    assert_eq!(read([v1::ExportAdapterResponse::default()]), Err(ChunkError::EmptyPart.into()));
}

#[test]
fn an_export_names_no_folder_and_has_a_bounded_number_of_files() {
    for name in ["", "../x", "a/b", "a\\b", ".hidden"] {
        let messages = export_messages(ModelHead([1; 32]), vec![ExportedFile { name: name.to_owned(), bytes: vec![1].into() }]);
        assert!(matches!(read(messages), Err(ExportError::Name { .. })), "{name}");
    }
    let one = export_messages(ModelHead([1; 32]), files().into_iter().take(1).collect()).collect::<Vec<_>>();
    let many = one.iter().cycle().take(one.len() * (EXPORT_FILES + 1)).cloned();
    assert!(matches!(read(many), Err(ExportError::Field(ConvertError::TooLong { field: "files", .. }))));
}

#[test]
fn an_unknown_format_is_refused() {
    for format in [AdapterFormat::Peft, AdapterFormat::State] {
        assert_eq!(AdapterFormat::try_from(i32::from(v1::AdapterFormat::from(format))), Ok(format));
    }
    for number in [0, 3, -1] {
        assert!(AdapterFormat::try_from(number).is_err());
    }
}
