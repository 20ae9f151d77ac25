"""The officers' desk as stories: a queue and its decisions, a person's page, colours by two officers, data in and out, rules, the log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI

from healthcode.terms import ClockState, Colour
from server.actors import BY_GATE, BY_RULES, Actor, Role
from server.appeals import Appeal
from server.audit import Sound, verify
from server.epidemic import Plan, Staged
from server.epidemic_lines import Encoding, Form, Layout
from server.epidemic_rows import EpidemicKind
from server.facts import Case, CaseCategory, CloseContact, FeverAtGate
from server.office import Office
from server.store import audit as log
from server.store import events, reviews, to_ms
from tests.server.desk_house import SECOND_APPROVER, hire, sit_down, wait_for
from tests.server.office import Clock, Town
from tests.server.web import Browser, make_app, quick
from tests.server.web_people import declare, join, number

MORNING = 1_790_035_200.0
JSON = {"accept": "application/json"}


@pytest.fixture
def clock() -> Clock:
    return Clock(MORNING)


@pytest.fixture
def app(town: Town, office: Office, clock: Clock) -> FastAPI:
    quickly = quick(office, clock)
    hire(quickly)
    return make_app(town, quickly)


@pytest.fixture
def officer(app: FastAPI) -> Browser:
    return sit_down(app, Role.OFFICER)


@pytest.fixture
def resident(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.register("13800138000")
    return browser


def colour_of(office: Office, who: str) -> str:
    found = office.registry.find(who)
    assert found is not None
    return found.word


def logged(office: Office, who: str) -> list[tuple[str, str]]:
    with office.store.read() as tx:
        return [(row.action, row.role) for row in log.list_newest(tx, 50, subject=f"resident/{who}")]


def first_review(page: str) -> str:
    found = re.search(r'href="(/desk/queue/\d+[^"]*)"', page)
    assert found, page
    return found[1].replace("&amp;", "&")


def decide(browser: Browser, path: str, decision: str, reason: str = "person_asked") -> str:
    return browser.post(path, {"decision": decision, "reason": reason}).text


def test_who_waits_for_a_first_review_is_let_in_and_the_page_says_before_what_follows(
    office: Office, officer: Browser, resident: Browser, clock: Clock
) -> None:
    me = join(resident, "张三丰", "19800101")
    with office.store.write() as tx:
        office.registry.record(tx, me, CloseContact(clock() - 86_400, "centre"), clock(), BY_RULES)
    declare(resident, me)
    page = officer.get("/desk/queue?kind=declaration").text
    assert "Listed as a close contact" in page
    assert "张" not in page, "the queue names nobody"
    path = first_review(page)
    assert path.endswith("?kind=declaration"), "the filter stays"
    review = officer.get(path).text
    assert "1 person: Pending becomes Yellow code" in review
    assert "1 person goes on without a code until they declare anew" in review
    assert officer.post(path, {"decision": "believe", "reason": "no_risk"}).status_code == 422
    assert "Choose a reason from the list" in decide(officer, path, "let_in", "because")
    assert colour_of(office, me) == "pending"
    after = decide(officer, path, "let_in")
    assert "is decided" in after
    assert "Nothing waits here" in after
    assert colour_of(office, me) == "yellow"
    assert officer.get(path).status_code == 404
    assert ("review.closed", "officer") in logged(office, me)


def hold_fever(office: Office, who: str, clock: Clock, times: int = 1) -> None:
    for seq in range(times):
        with office.store.write() as tx:
            events.insert_review(tx, "fevers_over_limit", "gate-1", "00" * 16, seq, who, to_ms(clock()), to_ms(clock() + seq))


def test_a_fever_held_back_is_believed_or_not(office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    hold_fever(office, me, clock, 2)
    path = first_review(officer.get("/desk/queue").text)
    assert "Green code becomes Yellow code" in officer.get(path).text
    decide(officer, path, "close", "device_faulty")
    assert colour_of(office, me) == "green"
    decide(officer, first_review(officer.get("/desk/queue").text), "believe")
    assert colour_of(office, me) == "yellow"


def test_a_copied_code_is_ended(office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    before = office.registry.find(me)
    with office.store.write() as tx:
        reviews.open_review(tx, "copied", "seen_twice", me, to_ms(clock()), unit="gate-2")
    path = first_review(officer.get("/desk/queue").text)
    assert "every code on paper and phones ends" in officer.get(path).text
    decide(officer, path, "reissue")
    after = office.registry.find(me)
    assert before is not None
    assert after is not None
    assert (after.index != before.index, after.word) == (True, "green")


def test_a_claim_is_granted_or_refused(app: FastAPI, office: Office, officer: Browser, resident: Browser) -> None:
    me = join(resident, "张三丰", "19800101")
    grown = Browser(app)
    grown.register("13900139000")
    grown.post("/family/add", {"relation": "self", "name": "张三丰", "paper": "citizen", "number": number("19800101")})
    path = first_review(officer.get("/desk/queue?kind=claim").text)
    page = officer.get(path).text
    assert "No answer yet" in page
    assert "张**" in page
    decide(officer, path, "grant", "papers_seen")
    assert f"who={me}" in str(grown.get("/code").url) or me in grown.get("/code").text
    assert me not in resident.get("/family").text


def test_the_queue_is_in_order_and_goes_on_where_a_page_ends(office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    with office.store.write() as tx:
        for place in range(120):
            reviews.open_review(
                tx,
                "contradiction",
                f"contact_denied w{place}".replace(f" w{place}", " fever_denied" * (place + 1)),
                me,
                to_ms(clock() - 3600 * (place % 7)),
            )
    hold_fever(office, me, clock, 3)
    seen: list[str] = []
    path = "/desk/queue"
    while path:
        page = officer.get(path).text
        seen += re.findall(r'href="/desk/queue/(\d+)"', page)
        found = re.search(r'href="([^"]*)" rel="next"', page)
        path = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 123
    with office.store.read() as tx:
        rows = {row.review: row for row in reviews.list_open(tx, 1000)}
    found_order = [(rows[int(each)].kind != "fever", rows[int(each)].received_ms, int(each)) for each in seen]
    assert found_order == sorted(found_order)
    assert len(re.findall(r'href="/desk/queue/\d+', officer.get("/desk/queue?place=outside").text)) == 0
    assert officer.get("/desk/queue?kind=nonsense&place=x&after=1.2.3").status_code == 200


def test_a_persons_page_explains_itself_and_opening_it_is_logged(office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me, symptoms="cough")
    resident.http.get(f"/code/pack?who={me}", headers=JSON)
    page = officer.get(f"/desk/people/{me}").text
    assert "Declaration · Cough · 36.6 °C · no contact" in page
    assert "Symptoms or fever, declared on" in page
    assert "A correction of the declaration, if it was wrong" in page
    assert "on a phone" in page
    assert "张**" in page
    assert "三丰" not in page
    assert number("19800101") not in page
    assert logged(office, me)[0] == ("resident.viewed", "officer")
    shown = officer.post(f"/desk/people/{me}/names", page=f"/desk/people/{me}").text
    assert "张三丰" in shown
    assert number("19800101") in shown
    with office.store.read() as tx:
        newest = log.list_newest(tx, 1, subject=f"resident/{me}")[0]
        assert isinstance(verify(tx), Sound)
    assert '"shown"' in newest.detail
    assert officer.get("/desk/people/nobody22").status_code == 404


@pytest.mark.parametrize("typed", ["number", "id"])
def test_people_are_found_without_their_number_in_any_address(officer: Browser, resident: Browser, typed: str) -> None:
    me = join(resident, "张三丰", "19800101")
    page = officer.post("/desk/people", {"number": number("19800101") if typed == "number" else me})
    assert page.url.path == f"/desk/people/{me}"
    assert not page.url.query
    assert "Nobody is registered" in officer.post("/desk/people", {"number": number("19810101")}).text
    wrong = officer.post("/desk/people", {"number": number("19800101")[:-1] + "?"})
    assert wrong.status_code == 422
    assert number("19800101")[:-1] not in wrong.text


def test_a_clinical_thermometer_clears_a_gates_fever(office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    clock.at += 60
    with office.store.write() as tx:
        office.registry.record(tx, me, FeverAtGate(clock(), "gate-1", 38.2, ClockState.TRUSTED), clock(), BY_GATE)
    clock.at += 60
    here = f"/desk/people/{me}"
    assert "Expected a normal temperature" in officer.post(f"{here}/thermometer", {"body_c": "38,2"}, page=here).text
    page = officer.post(f"{here}/thermometer", {"body_c": "36,8"}, page=here).text
    assert "1 person: Yellow code becomes Green code" in page
    assert "cannot be undone" in page
    assert colour_of(office, me) == "yellow", "nothing is done before it was read"
    page = officer.post(f"{here}/thermometer", {"body_c": "36.8", "confirmed": "yes"}, page=here).text
    assert "The reading is recorded" in page
    assert colour_of(office, me) == "green"


def test_lost_paper_is_ended_after_a_word_of_what_it_does(office: Office, officer: Browser, resident: Browser) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    before = office.registry.find(me)
    page = officer.get(f"/desk/people/{me}/reissue").text
    assert "1 person: every code" in page
    officer.post(f"/desk/people/{me}/reissue")
    after = office.registry.find(me)
    assert before is not None
    assert after is not None
    assert before.index != after.index


def propose(browser: Browser, who: list[str], wanted: str) -> tuple[str, str]:
    """Proposes for one or many: what the page said before, and the path of the proposal."""
    path = f"/desk/people/{who[0]}/propose" if len(who) == 1 else "/desk/approvals/new"
    fields: dict[str, str | list[str]] = {"wanted": wanted, "residents": "\n".join(who)}
    said = browser.post(path, fields).text
    made = browser.post(path, {**fields, "confirmed": "yes"})
    return said, made.url.path


def test_a_colour_by_hand_takes_two(app: FastAPI, office: Office, officer: Browser, resident: Browser) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    said, path = propose(officer, [me], "red.confirmed")
    assert "Green code becomes Red code: 1" in said
    assert "Nothing changes before a second officer approves" in said
    own = officer.get(path).text
    assert "You proposed this" in own
    assert 'value="approve"' not in own
    assert "A second officer decides" in officer.post(path, {"do": "refuse"}).text
    approver = sit_down(app, Role.APPROVER)
    assert 'value="approve"' in approver.get(path).text
    approver.post(path, {"do": "approve"})
    assert colour_of(office, me) == "red"
    _, path = propose(approver, [me], "green.correction")
    assert 'value="approve"' not in approver.get(path).text, "an approver's own waits for another one, too"
    assert "A second officer decides" in approver.post(path, {"do": "approve"}).text
    sit_down(app, Role.APPROVER, SECOND_APPROVER).post(path, {"do": "approve"})
    assert colour_of(office, me) == "green"


def test_a_number_is_put_right_by_two(app: FastAPI, office: Office, officer: Browser, resident: Browser) -> None:
    me, right = join(resident, "张三丰", "19800101"), number("19800110")
    declare(resident, me)
    path = f"/desk/people/{me}/number"
    assert f'href="{path}"' in officer.get(f"/desk/people/{me}").text
    typed: dict[str, str | list[str]] = {"paper": "citizen", "number": right, "reason": "mistyped"}
    assert "Choose why" in officer.post(path, {**typed, "reason": ""}).text
    assert "The length is right, but the last character" in officer.post(path, {**typed, "number": number("19800101")[:16] + "99"}).text
    assert "by this number already" in officer.post(path, {**typed, "number": number("19800101")}).text
    other = join(resident, "李四", "19500101", "elder", 9)
    refused = officer.post(path, {**typed, "number": number("19500101", 9)}).text
    assert (
        "this is no correction" in refused and "Look the number up under People" in refused and other not in refused and "李" not in refused
    )
    said = officer.post(path, typed).text
    assert f"Person {me}: {right}" in said and "the colour stays Green code" in said
    made = officer.post(path, {**typed, "confirmed": "yes"})
    assert made.url.path.startswith("/desk/approvals/")
    assert "You proposed this" in made.text and 'value="approve"' not in made.text
    assert "proposed for this person already" in officer.post(path, typed).text
    approver = sit_down(app, Role.APPROVER)
    page = approver.get(made.url.path).text
    assert "Number put right" in approver.get("/desk/approvals").text
    assert right not in page and "13, 14, 18, counted from the front" in page and "typed wrongly" in page
    assert right in approver.post(made.url.path, {"do": "show"}).text
    auditor = sit_down(app, Role.AUDITOR).get(made.url.path).text
    assert "Right number" not in auditor and "on another record" not in auditor
    approver.post(made.url.path, {"do": "approve"})
    assert "Identity corrected" in approver.get(f"/desk/people/{me}").text
    history = resident.get(f"/history?who={me}").text
    assert "typed wrongly at the registration. Proposed by: Officer. Agreed by: Approver." in history
    assert resident.get(f"/held?who={me}").status_code == 200
    assert right[-4:] in resident.get(f"/family/edit?who={me}").text


def test_many_at_once_wait_and_can_be_undone(app: FastAPI, office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    who = [join(resident, "张三丰", "19800101"), join(resident, "李四", "19500101", "elder", 9)]
    for each in who:
        declare(resident, each)
    assert "There is no resident" in officer.post("/desk/approvals/new", {"wanted": "red.confirmed", "residents": "nobody22"}).text
    said, path = propose(officer, who, "yellow.close_contact")
    assert "People: 2. Of them would change colour: 2." in said
    assert "hours after the approval" in said
    approver = sit_down(app, Role.APPROVER)
    approver.post(path, {"do": "approve"})
    assert "approved, delay runs" in approver.get("/desk/approvals?state=approved").text
    page = approver.get(path).text
    assert "counts in" in page
    assert "Undo (people: 2)" in page
    approver.post(path, {"do": "revoke"})
    clock.at += 40 * 3600
    office.proposals.step()
    assert {colour_of(office, each) for each in who} == {"green"}


def test_an_import_is_tried_out_put_in_force_and_withdrawn(app: FastAPI, office: Office, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    operator = sit_down(app, Role.OPERATOR)
    good = f"number,at\n{number('19800101')},2026-09-20\n{number('19900101')},2026-09-20\n"

    def upload(text: str, **more: str) -> str:
        fields = {"form": operator.token("/desk/imports"), "kind": "close_contact", "source": "centre", "encoding": "utf-8", **more}
        answer = operator.http.post("/desk/imports", data=fields, files={"file": ("contacts.csv", text.encode())})
        assert answer.status_code == 200, answer.text
        return wait_for(operator, answer.url.path)

    page = upload("number,at\n123,2026-09-20\n" + good.split("\n", 1)[1])
    assert "Not fit to be imported" in page
    assert re.search(r'<th scope="row" class="number">2</th><td><code>number</code>', page), "the faulty row by its line"
    page = upload(good)
    assert "People who would change colour: 1" in page
    assert "2, of whom 1 are registered" in page
    assert colour_of(office, me) == "green"
    job = re.search(r'action="(/desk/imports/jobs/[^"]+)"', page)
    assert job
    made = operator.post(job[1], {"do": "force"})
    number_path = made.url.path
    told = operator.http.get(number_path, headers=JSON).json()
    assert told["state"] == "running", "the rulings follow in the server, whoever looks"
    while office.epidemic.rule_waiting(100):
        pass
    assert operator.http.get(number_path, headers=JSON).json()["state"] == "done"
    assert colour_of(office, me) == "yellow"
    page = operator.get(number_path).text
    assert "People who changed colour: 1" in page
    assert operator.post(number_path, {"why": ""}).status_code == 422
    operator.post(number_path, {"why": "wrong file"})
    while office.epidemic.rule_waiting(100):
        pass
    assert colour_of(office, me) == "green"
    assert "withdrawn" in operator.get("/desk/imports").text
    assert upload(good, kind="close_contact").count("Ready, not in force") == 1


def test_other_rules_are_tried_on_everybody(app: FastAPI, office: Office, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    clock.at += 2 * 86_400
    operator = sit_down(app, Role.OPERATOR)
    assert "lapse_days" in operator.get("/desk/policy").text
    for wrong in ("version = 0", "verzion = 2", "version = 1\n[record]\nlapse_days = 1\n", "]["):
        assert operator.post("/desk/policy", {"policy": wrong}).status_code == 422, wrong
    answer = operator.post("/desk/policy", {"policy": "version = 2\nname = 'strict'\n[record]\nlapse_days = 1\n"})
    page = wait_for(operator, answer.url.path)
    assert "People who would change colour: 1 of 1" in page
    assert "no health record" in page
    assert "<code>record.lapse_days</code>" in page
    assert colour_of(office, me) == "green"
    assert "strict" in operator.get("/desk/policy").text, "the trial is found again"


def test_an_import_that_contradicts_many_is_one_line_of_the_queue_and_one_decision(
    app: FastAPI, office: Office, officer: Browser, resident: Browser, clock: Clock, tmp_path: Path
) -> None:
    who = [join(resident, "张三丰", "19800101"), join(resident, "李四", "19500101", "elder", 9)]
    for each in who:
        declare(resident, each)
    clock.at += 60
    path = tmp_path / "contacts.csv"
    path.write_text(f"number,at\n{number('19800101')},2026-09-20\n{number('19500101', 9)},2026-09-20\n")
    layout = Layout(EpidemicKind.CLOSE_CONTACT, Form.CSV, Encoding.UTF_8, "centre", clock())
    staged = office.epidemic.stage(path, Plan(layout, "contacts.csv", Actor("operator.he", Role.OPERATOR)))
    assert isinstance(staged, Staged)
    office.epidemic.put_in_force(staged.number, Actor("operator.he", Role.OPERATOR))
    while office.epidemic.rule_waiting(10):
        pass
    queue = officer.get("/desk/queue").text
    found = re.search(r'href="(/desk/queue/imports/[^"]+)"', queue)
    assert found and "Declares no contact, but is listed as a close contact" in queue
    assert first_review_or_none(queue) is None, "the two do not stand in the list one by one"
    page = officer.get(found[1]).text
    assert "Let the import stand for 2" in page and "contacts.csv" in page and "张" not in page
    assert officer.get("/desk/queue/imports/7?why=contact_denied").status_code == 404
    assert officer.post(found[1], {"reason": "because"}).status_code == 422
    clock.at += 49 * 3600
    officer = sit_down(app, Role.OFFICER)
    assert "2 wait longer than 48 hours" in officer.get("/desk/queue").text
    answer = officer.post(found[1], {"reason": "clinic_asked"})
    after = answer.text if answer.url.path == "/desk/queue" else wait_for(officer, answer.url.path)
    assert "The import stands: 2 reviews are closed." in after and "Nothing waits here" in after
    assert [colour_of(office, each) for each in who] == ["yellow", "yellow"]
    assert officer.get(found[1]).status_code == 404
    auditor = sit_down(app, Role.AUDITOR)
    log_of_one = auditor.get(f"/desk/audit?subject={who[0]}&action=colour").text
    assert f"import: {staged.number}" in log_of_one and "contacts.csv" in log_of_one, "which import turned them, and what it was"


def first_review_or_none(page: str) -> str | None:
    found = re.search(r'href="(/desk/queue/\d+[^"]*)"', page)
    return found[1] if found else None


def test_the_log_is_read_filtered_and_verified(app: FastAPI, office: Office, officer: Browser, resident: Browser) -> None:
    me = join(resident, "张三丰", "19800101")
    officer.get(f"/desk/people/{me}")
    auditor = sit_down(app, Role.AUDITOR)
    page = auditor.get(f"/desk/audit?subject={me}&action=resident.viewed").text
    assert page.count(f"subject=resident/{me}") == 1
    assert "Officer" in page
    assert "三丰" not in page
    assert "Log read" in auditor.get("/desk/audit").text, "reading it is in it"
    page = wait_for(auditor, auditor.post("/desk/audit").url.path)
    assert "The log holds" in page
    with office.store.write() as tx:
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER audit_no_update")
        else:
            tx.exec_driver_sql("DROP TRIGGER audit_no_update")
        tx.exec_driver_sql("UPDATE audit SET role = 'auditor' WHERE entry = 3")
    page = wait_for(auditor, auditor.post("/desk/audit").url.path)
    assert "The log does not hold" in page


@pytest.mark.parametrize(
    ("role", "room", "begins"),
    [
        (Role.OPERATOR, "policy", "Try the rules again"),
        (Role.OPERATOR, "imports", "Choose the file again"),
        (Role.AUDITOR, "audit", "Verify again"),
    ],
)
def test_work_that_ended_with_the_process_is_told_and_can_be_begun_again(app: FastAPI, role: Role, room: str, begins: str) -> None:
    browser = sit_down(app, role)
    path = f"/desk/{room}/jobs/{'x' * 12}"  # the name of a job that another process held
    page = browser.get(path)
    assert page.status_code == 410
    assert "The server was started anew" in page.text
    assert begins in page.text
    assert browser.http.get(path, headers=JSON).json()["state"] == "gone", "a page that waits for it is told too"
    assert browser.get(f"/desk/{room}/jobs/1").status_code == 404


def test_a_case_reported_for_a_red_person_shows_on_their_page(office: Office, officer: Browser, resident: Browser, clock: Clock) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    with office.store.write() as tx:
        office.registry.record(tx, me, Case(clock(), CaseCategory.CONFIRMED, "Tongji"), clock(), BY_RULES)
    assert colour_of(office, me) == Colour.RED.value
    page = officer.get(f"/desk/people/{me}").text
    assert "Confirmed case reported (Tongji)" in page


def test_a_request_for_conversion_is_answered_within_its_time(
    app: FastAPI, office: Office, officer: Browser, resident: Browser, clock: Clock
) -> None:
    me = join(resident, "张三丰", "19800101")
    declare(resident, me)
    with office.store.write() as tx:
        office.registry.record(tx, me, CloseContact(clock() - 86_400, "centre"), clock(), BY_RULES)
    (parent,) = [each.actor for each in office.accounts.list_accounts(Role.RESIDENT)]
    asked = office.appeals.ask(parent, me, "那天我在家。<b>", [b"%PDF-1.4 made up", b"\xff\xd8\xff made up"])
    assert isinstance(asked, Appeal), asked
    clock.at += 600
    page = officer.get("/desk/appeals").text
    assert "47 h left" in page
    path = f"/desk/appeals/{asked.number}"
    page = officer.get(path).text
    assert "那天我在家。&lt;b&gt;" in page
    assert "1 person: Yellow code becomes Green code" in page
    paper = officer.http.get(f"{path}/papers/1")
    assert paper.content == b"%PDF-1.4 made up"
    assert paper.headers["content-disposition"].startswith("attachment")
    assert ("appeal.paper_read", "officer") in logged(office, me)
    assert officer.get(f"{path}/papers/3").status_code == 404
    assert officer.post(path, {"answer": ""}).status_code == 422
    clock.at += 20 * 60
    assert "is answered" in officer.post(path, {"answer": "contact_cleared"}).text
    assert colour_of(office, me) == "green"
    assert "Granted" in officer.get(path).text
    assert "No request waits" in officer.get("/desk/appeals").text
