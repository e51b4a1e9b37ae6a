// What an administrator's script in JavaScript does, with Microsoft's own client and login library, unmodified.
// Prints one JSON object: what each part of the conversation came to. tests/foreign/test_javascript.py judges it.
import { ClientSecretCredential } from "@azure/identity";
import { BatchRequestContent, BatchResponseContent, Client, PageIterator, ResponseType } from "@microsoft/microsoft-graph-client";
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";

const { ADDRESS, TENANT, CLIENT, SECRET, DOMAIN, SKU } = process.env;
const credential = new ClientSecretCredential(TENANT, CLIENT, SECRET, {
  authorityHost: ADDRESS,
  disableInstanceDiscovery: true,
});
const authProvider = new TokenCredentialAuthenticationProvider(credential, { scopes: [`${ADDRESS}/.default`] });
const graph = Client.initWithMiddleware({
  authProvider,
  baseUrl: ADDRESS,
  customHosts: new Set([new URL(ADDRESS).hostname]),
});
const told = {};

/** Ask until the answer suits: there is no read after write. */
async function until(ask, suits) {
  for (let turn = 0; turn < 50; turn += 1) {
    const found = await ask().catch((error) => ({ error: error.code, status: error.statusCode }));
    if (suits(found)) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error("it never came true");
}

// users: paging, counting, reading, changing
const first = await graph.api("/users").select(["id", "userPrincipalName"]).top(50).get();
const seen = [];
await new PageIterator(graph, first, (user) => seen.push(user.userPrincipalName) > 0).iterate();
told.users = seen.length;
told.distinct = new Set(seen).size;
told.count = await graph.api("/users/$count").header("ConsistencyLevel", "eventual").get();
const ann = await graph.api(`/users/rx1-0001@${DOMAIN}`).get();
await graph.api(`/users/${ann.id}`).update({ jobTitle: "Nurse" });
told.jobTitle = (await until(() => graph.api(`/users/${ann.id}`).select("jobTitle").get(), (u) => u.jobTitle)).jobTitle;
told.filtered = (await graph.api("/users").filter(`userPrincipalName eq 'rx1-0002@${DOMAIN}'`).get()).value.length;
told.missing = await graph.api("/users/nobody@contoso.example").get().catch((error) => [error.statusCode, error.code]);

// groups and licences
const group = await graph.api("/groups").post({
  displayName: "Pool", mailEnabled: false, mailNickname: "pool", securityEnabled: true,
  "members@odata.bind": [`${ADDRESS}/v1.0/users/${ann.id}`],
});
const wish = { addLicenses: [{ skuId: SKU, disabledPlans: [] }], removeLicenses: [] };
await until(() => graph.api(`/groups/${group.id}/assignLicense`).post(wish), (found) => found.id);
const licensed = await until(
  () => graph.api(`/users/${ann.id}`).select("licenseAssignmentStates").get(),
  (user) => user.licenseAssignmentStates?.some((state) => state.assignedByGroup === group.id),
);
told.licence = licensed.licenseAssignmentStates.find((state) => state.assignedByGroup === group.id).state;

// a team: accepted, then there
const accepted = await graph.api("/teams").responseType(ResponseType.RAW).post({
  "template@odata.bind": "https://graph.microsoft.com/v1.0/teamsTemplates('standard')",
  displayName: "Ward 7",
  members: [{
    "@odata.type": "#microsoft.graph.aadUserConversationMember", roles: ["owner"],
    "user@odata.bind": `${ADDRESS}/v1.0/users('${ann.id}')`,
  }],
});
told.teamStatus = accepted.status;
const operation = accepted.headers.get("Location");
told.teamOperation = (await until(() => graph.api(operation).get(), (found) => found.status === "succeeded")).status;
const teamId = operation.match(/teams\('([^']+)'\)/)[1];
const channels = await until(() => graph.api(`/teams/${teamId}/channels`).get(), (found) => found.value?.length);
told.channels = channels.value.map((channel) => channel.displayName);

// a conditional access policy
const policy = await graph.api("/identity/conditionalAccess/policies").post({
  displayName: "MFA for everyone", state: "enabledForReportingButNotEnforced",
  conditions: { users: { includeUsers: ["All"] }, applications: { includeApplications: ["All"] }, clientAppTypes: ["all"] },
  grantControls: { operator: "OR", builtInControls: ["mfa"] },
});
told.policy = policy.state;

// a batch
const batch = new BatchRequestContent([
  { id: "1", request: new Request(`${ADDRESS}/users/${ann.id}`, { method: "GET" }) },
  { id: "2", request: new Request(`${ADDRESS}/users/nobody@${DOMAIN}`, { method: "GET" }) },
  {
    id: "3",
    request: new Request(`${ADDRESS}/users/${ann.id}`, {
      method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ department: "Wards" }),
    }),
  },
]);
const answered = new BatchResponseContent(await graph.api("/$batch").post(await batch.getContent()));
told.batch = Object.fromEntries(["1", "2", "3"].map((id) => [id, answered.getResponseById(id).status]));

// delta, to the end and once more
let page = await graph.api("/users/delta").select(["id", "department"]).get();
let changes = page.value.length;
while (page["@odata.nextLink"]) {
  page = await graph.api(page["@odata.nextLink"]).get();
  changes += page.value.length;
}
told.delta = changes;
await graph.api(`/users/rx1-0003@${DOMAIN}`).update({ department: "Theatre" });
const link = page["@odata.deltaLink"];
const changed = await until(() => graph.api(link).get(), (found) => found.value?.some((user) => user.department === "Theatre"));
told.deltaAgain = changed.value.filter((user) => user.department === "Theatre").length;

console.log(JSON.stringify(told));
