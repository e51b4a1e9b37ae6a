"""msgraph-sdk on our chain. Skipped where the extra ``sdk`` is not installed."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from graphkit import clock
from graphkit.client import GraphClient
from graphkit.errors import OutcomeUnknown, UntrustedDestination
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.transport.chain import build_chain

pytest.importorskip("msgraph", reason="the extra sdk is not installed: pip install 'graphkit-m365[sdk]'")
# What the generated code warns about is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore")


class Fixed:
    name = "app"

    async def token(self, *, claims="", renew=False):
        return Token("fixed", 4e9)


class Service:
    """Answers singles and batches by one rule, and counts the calls."""

    def __init__(self, answer):
        self.answer = answer
        self.calls, self.operations = [], []

    def __call__(self, request):
        path = request.url.raw_path.decode()
        self.calls.append(request)
        if not path.endswith("/$batch"):
            status, body = self._one(request.method, path.removeprefix("/v1.0"), request.content)
            if status == 302:
                return httpx.Response(status, headers={"Location": body})
            return httpx.Response(status, json=body) if body is not None else httpx.Response(status)
        responses = []
        for item in json.loads(request.content)["requests"]:
            status, body = self._one(item["method"], item["url"], json.dumps(item.get("body")).encode())
            responses.append({"id": item["id"], "status": status, "headers": {}, "body": body})
        return httpx.Response(200, json={"responses": responses})

    def _one(self, method, path, body):
        self.operations.append((method, path))
        return self.answer(method, path, body)


def on(answer, use, root="https://graph.microsoft.com", budget=None):
    service = Service(answer)
    ticking = clock.VirtualClock()
    cloud = CLOUDS["global"] if root == CLOUDS["global"].graph_root else CLOUDS["usgov"]

    async def main():
        chain = build_chain(
            httpx.MockTransport(service),
            cloud=cloud,
            source=Fixed(),
            clock=ticking,
            budget=budget or WriteBudget.unlimited(),
        )
        try:
            return await use(GraphClient(chain, cloud=cloud, clock=ticking).sdk)
        finally:
            await chain.aclose()

    return clock.run(main(), virtual=True), service


def user(method, path, body):
    return 200, {"id": path.split("/")[2].partition("?")[0], "displayName": "x"}


def test_unmodified_code_is_batched_and_typed():
    async def use(sdk):
        return await asyncio.gather(*(sdk.users.by_user_id(f"u{number}").get() for number in range(40)))

    users, service = on(user, use)
    assert [each.id for each in users] == [f"u{number}" for number in range(40)]
    assert len(service.calls) == 2


def test_me_is_spelt_as_the_service_wants_it():
    async def use(sdk):
        return await sdk.me.get()

    _, service = on(lambda *_: (200, {"id": "me"}), use)
    assert service.operations == [("GET", "/me")]


def test_query_parameters_keep_their_names():
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder

    async def use(sdk):
        query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(select=["id"], top=5)
        configuration = UsersRequestBuilder.UsersRequestBuilderGetRequestConfiguration(query_parameters=query)
        return await sdk.users.get(request_configuration=configuration)

    _, service = on(lambda *_: (200, {"value": []}), use)
    ((method, path),) = service.operations
    assert method == "GET"
    assert "$select=id" in path
    assert "$top=5" in path


def test_there_is_one_retry_layer_and_it_is_ours():
    failures = [503, 503]

    async def use(sdk):
        return await sdk.users.by_user_id("u1").get()

    found, service = on(lambda *a: (failures.pop(), {}) if failures else user(*a), use)
    assert found.id == "u1"
    assert len(service.operations) == 3


def test_a_post_whose_outcome_is_open_is_not_repeated():
    from msgraph.generated.models.group import Group

    async def use(sdk):
        with pytest.raises(OutcomeUnknown):
            await sdk.groups.post(Group(display_name="x"))

    _, service = on(lambda *_: (504, {}), use)
    assert len(service.operations) == 1


def test_a_refusal_is_the_sdks_own_error():
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    async def use(sdk):
        with pytest.raises(ODataError) as caught:
            await sdk.users.by_user_id("u1").get()
        return caught.value.error.code

    code, _ = on(lambda *_: (404, {"error": {"code": "Request_ResourceNotFound", "message": "gone"}}), use)
    assert code == "Request_ResourceNotFound"


def test_a_401_that_we_could_not_cure_is_not_sent_again():
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    async def use(sdk):
        with pytest.raises(ODataError):
            await sdk.users.by_user_id("u1").get()

    _, service = on(lambda *_: (401, {"error": {"code": "InvalidAuthenticationToken", "message": "x"}}), use)
    assert len(service.operations) == 2


def test_a_sovereign_cloud_keeps_its_own_host():
    async def use(sdk):
        return await sdk.users.by_user_id("u1").get()

    _, service = on(user, use, root="https://graph.microsoft.us")
    assert {call.url.host for call in service.calls} == {"graph.microsoft.us"}
    assert service.calls[0].headers["authorization"] == "Bearer fixed"


@pytest.mark.parametrize("host", ["graph.microsoft.com", "elsewhere.example"])
def test_redirects_are_not_followed(host):
    async def use(sdk):
        try:
            return await sdk.users.by_user_id("u1").get()
        except Exception as error:
            return error

    _, service = on(lambda *_: (302, f"https://{host}/v1.0/users/u2"), use)
    assert len(service.calls) == 1


def test_the_address_comes_from_the_cloud_and_not_from_the_client():
    async def use(sdk):
        return sdk.request_adapter.base_url, str(sdk.request_adapter._http_client.base_url)

    assert on(user, use)[0] == ("https://graph.microsoft.com/v1.0", "")


def test_the_sdk_cannot_write_past_the_budget():
    from graphkit.errors import Blocked

    async def use(sdk):
        with pytest.raises(Blocked):
            await sdk.groups.by_group_id("g1").delete()

    _, service = on(lambda *_: (204, None), use, budget=WriteBudget.read_only())
    assert service.calls == []


def test_500_calls_in_a_gather_are_full_batches():
    from msgraph.generated.models.user import User

    async def use(sdk):
        calls = (sdk.users.by_user_id(f"u{number}").patch(User(department="x")) for number in range(500))
        return await asyncio.gather(*calls)

    answers, service = on(lambda *_: (204, None), use)
    assert len(answers) == 500
    assert sorted(service.operations) == sorted(("PATCH", f"/users/u{number}") for number in range(500))
    # 25, and one more where the burst that the quota admits at first is no multiple of 20.
    assert len(service.calls) <= 26


def test_actions_are_called_as_in_any_tutorial():
    from msgraph.generated.models.assigned_license import AssignedLicense
    from msgraph.generated.users.item.assign_license.assign_license_post_request_body import (
        AssignLicensePostRequestBody,
    )

    async def use(sdk):
        body = AssignLicensePostRequestBody(
            add_licenses=[AssignedLicense(sku_id="efccb6f7-5641-4e0e-bd10-b4976e1bf68e")], remove_licenses=[]
        )
        return await sdk.users.by_user_id("u1").assign_license.post(body)

    found, service = on(lambda *_: (200, {"id": "u1"}), use)
    assert found.id == "u1"
    assert service.operations == [("POST", "/users/u1/assignLicense")]


def paged(method, path, body):
    number = int(path.rpartition("skiptoken=")[2]) if "skiptoken" in path else 0
    found = {"value": [{"id": f"u{number}-{item}"} for item in range(3)]}
    if number < 3:
        found["@odata.nextLink"] = f"https://graph.microsoft.com/v1.0/users?$skiptoken={number + 1}"
    return 200, found


async def iterate(sdk):
    from msgraph_core.tasks.page_iterator import PageIterator

    found = []
    iterator = PageIterator(await sdk.users.get(), sdk.request_adapter)
    await iterator.iterate(lambda user: found.append(user.id) is None)
    return found


def test_page_iterators_iterate():
    found, service = on(paged, iterate)
    assert found == [f"u{page}-{item}" for page in range(4) for item in range(3)]
    assert len(service.calls) == 4


def test_a_page_iterator_that_is_led_elsewhere_sends_nothing_there():
    async def use(sdk):
        with pytest.raises(UntrustedDestination):
            await iterate(sdk)

    evil = {"value": [{"id": "u1"}], "@odata.nextLink": "https://evil.example/v1.0/users?$skiptoken=1"}
    _, service = on(lambda *_: (200, evil), use)
    assert {call.url.host for call in service.calls} == {"graph.microsoft.com"}
    assert len(service.calls) == 1


def test_delta_goes_on_by_its_link():
    link = "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=1"

    async def use(sdk):
        first = await sdk.users.delta.get()
        return await sdk.users.delta.with_url(first.odata_delta_link).get()

    _, service = on(lambda *_: (200, {"value": [], "@odata.deltaLink": link}), use)
    assert [path for _, path in service.operations] == ["/users/delta()", "/users/delta?$deltatoken=1"]


def test_a_batch_that_the_sdk_packs_is_taken_apart():
    """It writes absolute addresses, which the service refuses (msgraph-sdk-python issue 1015); here they work."""
    pytest.importorskip("deprecated", reason="msgraph-core imports Deprecated and does not declare it")
    from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
    from msgraph_core.requests.batch_request_content import BatchRequestContent
    from msgraph_core.requests.batch_request_item import BatchRequestItem

    refused = [429]

    def answer(method, path, body):
        return (refused.pop(), {}) if refused and path == "/users/u1" else user(method, path, body)

    async def use(sdk):
        content = BatchRequestContent()
        items = [
            BatchRequestItem(sdk.users.by_user_id(f"u{number}").to_get_request_information(), id=str(number))
            for number in range(3)
        ]
        items[2].set_depends_on([items[1]])
        for item in items:
            content.add_request(item.id, item)
        response = await BatchRequestBuilder(sdk.request_adapter).post(content)
        return {key: response.get_response_by_id(key).status for key in "012"}

    statuses, service = on(answer, use)
    assert statuses == {"0": 200, "1": 200, "2": 200}
    asked = [path for _, path in service.operations]
    assert [path for path in asked if path == "/users/u1"] == ["/users/u1"] * 2
    assert asked[-1] == "/users/u2"


def test_an_upload_above_4_mb_goes_by_itself():
    large = b"x" * (5 * 1024 * 1024)

    async def use(sdk):
        return await sdk.users.by_user_id("u1").photo.content.put(large)

    _, service = on(lambda *_: (200, None), use)
    (call,) = service.calls
    assert (call.method, call.content, call.url.path) == ("PUT", large, "/v1.0/users/u1/photo/$value")


def test_what_the_sdk_says_of_itself_is_kept_and_its_timeouts_are_not():
    async def use(sdk):
        sdk.request_adapter._http_client.timeout = httpx.Timeout(0.001)
        return await sdk.users.by_user_id("u1").get()

    _, service = on(user, use)
    (call,) = service.calls
    assert "graph-python" in call.headers["sdkversion"]
    assert call.headers["user-agent"].startswith("graphkit")
    assert call.extensions["timeout"]["read"] == 100.0
