"""A typed client that is generated from the document, as integrators generate theirs, plays the guide."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import requests

from local.demo import workbook
from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office, phone

PACKAGE = "generated_client"


class Client:
    """The generated package as one organization uses it: operations by their ids, models by their names."""

    def __init__(self, office: Office) -> None:
        made = import_module(PACKAGE).AuthenticatedClient
        self.client = made(base_url=office.stack.base, token=office.stack.token(office.organization))

    def __getattr__(self, name: str) -> Any:
        if name[0].isupper():
            return getattr(import_module(f"{PACKAGE}.models"), name)
        operations = import_module(f"{PACKAGE}.api")
        [path] = Path(str(operations.__file__)).parent.rglob(f"{name}.py")
        return lambda *given, **more: import_module(f"{PACKAGE}.api.{path.parent.name}.{name}").sync(
            *given, client=self.client, **more
        )


@pytest.fixture(scope="module")
def package(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package is there to be imported. A generator that has something against the document fails."""
    home = tmp_path_factory.mktemp("client")
    (home / "openapi.json").write_text(requests.get(f"{stack.base}/auto-calling/openapi.json", timeout=30).text)
    (home / "settings.yaml").write_text("post_hooks: []")
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--fail-on-warning"]
    command += ["--path", "openapi.json", "--config", "settings.yaml", "--meta", "none", "--output-path", PACKAGE]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(home)
        yield


@pytest.mark.usefixtures("package")
def test_generated_client_plays_the_guide(office: Office) -> None:
    api = Client(office)
    with api.client:
        play(api)


def play(api: Client) -> None:
    """A workbook becomes contacts, a campaign calls them, and what came of it is looked at."""
    people = [("Aziza", f"Karimova {n}", phone(n), "1985-03-15", '{"totalDebt": 5420.50}', None) for n in range(10)]
    file = import_module(f"{PACKAGE}.types").File(payload=io.BytesIO(workbook(people)), file_name="contacts.xlsx")
    sent = api.upload_contacts(body=api.UploadForm(file=file))
    imported = eventually(lambda: found if (found := api.get_import(sent.id)).finished_at else None)
    assert (imported.status, imported.created) == (api.ImportStatus.COMPLETED, 10)

    new = api.NewCampaign(name="January Debt Collection", campaign_type=api.CampaignType.DEBT_COLLECTION)
    campaign = api.create_campaign(body=new)
    enrolling = api.add_contacts_to_campaign(campaign.id, body=api.Enrolment(import_id=imported.id))
    assert isinstance(enrolling, api.Enrolling)
    eventually(lambda: api.get_campaign(campaign.id).total_contacts == 10)
    assert api.start_campaign(campaign.id).status is api.CampaignStatus.RUNNING
    done = eventually(lambda: api.get_campaign(campaign.id).status is api.CampaignStatus.COMPLETED, 60)
    assert done

    [promised] = api.list_calls_of_campaign(campaign.id, call_status=api.CallStatus.PROMISE_TO_PAY).data
    contact = api.get_contact(promised.contact_id)
    assert (contact.phone, contact.is_called) == (phone(4), True)
    assert contact.custom_data.to_dict() == {"totalDebt": 5420.5}
    changed = api.change_contact(contact.id, body=api.ContactChange(notes="Pays on Friday"))
    assert changed.notes == "Pays on Friday"
    [oldest] = api.list_contacts(sort=api.ListContactsSort.OLDEST_FIRST, limit=1).data
    assert oldest.created_at == min(each.created_at for each in api.list_contacts().data)

    refused = api.start_campaign(campaign.id)
    assert isinstance(refused, api.Problem)
    assert (refused.status, refused.code) == (409, "campaign-finished")
