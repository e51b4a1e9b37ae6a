// A Flex Consumption app for graphkit: host storage without shared keys, one user-assigned identity, a mounted share for
// the runs, Application Insights. NOT DEPLOYED, and not even compiled, where it was written: run `az deployment group
// what-if` first. docs/azure-functions.md says what else is not proved.

targetScope = 'resourceGroup'

@description('Prefix of all names: 3 to 10 lower-case letters and digits.')
@minLength(3)
@maxLength(10)
param name string = 'graphkit'

param location string = resourceGroup().location

@description('Recipes that the app may run.')
param recipes array = ['licenses.pools']

@description('Whether approved runs are applied. Leave it off until a plan has been looked at.')
param applies bool = false

@description('UPNs or ids of accounts that no policy may lock out.')
param breakGlass array = []

@description('The Microsoft 365 tenant: its id or one of its domains.')
param tenantId string = tenant().tenantId

@description('Python of the worker; the app is tested with the worker library for 3.13.')
param pythonVersion string = '3.13'

@description('When drift is looked for: second minute hour day month weekday, UTC.')
param driftSchedule string = '0 0 2 * * *'

var suffix = uniqueString(resourceGroup().id, name)
var hostAccount = take('${name}host${suffix}', 24)
var shareAccount = take('${name}runs${suffix}', 24)
var shareName = 'runs'
var mountPath = '/mounts/runs'
var packages = 'app-package'
var queues = ['graphkit-runs', 'graphkit-runs-poison']

// -- identity: whatever the app does, in Azure and in Microsoft Graph, it does as this one ------------------------------

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-${suffix}'
  location: location
}

// -- the host's storage: its blobs, its queues, the package; by identity alone ------------------------------------------

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: hostAccount
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    resource container 'containers' = { name: packages }
  }

  resource queueService 'queueServices' = {
    name: 'default'
    resource queue 'queues' = [for each in queues: { name: each }]
  }
}

// Storage Blob Data Owner, Storage Queue Data Contributor, Storage Table Data Contributor
// (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage)
var storageRoles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
]

resource storageAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in storageRoles: {
    name: guid(storage.id, identity.id, role)
    scope: storage
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// -- the share for the runs ---------------------------------------------------------------------------------------------
// An account of its own, because a Functions app can mount a share with the account's key only: the platform knows no
// identity for that (https://learn.microsoft.com/azure/azure-functions/concept-file-access-options). The key is in the
// site's mount configuration and in no setting.

resource runs 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: shareAccount
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource files 'fileServices' = {
    name: 'default'
    properties: { shareDeleteRetentionPolicy: { enabled: true, days: 7 } }
    resource share 'shares' = {
      name: shareName
      properties: { shareQuota: 20, enabledProtocols: 'SMB' }
    }
  }
}

// -- logs ---------------------------------------------------------------------------------------------------------------

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-${suffix}'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-${suffix}'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

// Monitoring Metrics Publisher
var publisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource insightsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, publisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', publisher)
  }
}

// -- the app ------------------------------------------------------------------------------------------------------------

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-${suffix}'
  location: location
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: '${name}-${suffix}'
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    siteConfig: { minTlsVersion: '1.2' }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packages}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      // One writer. Where a region refuses 1, its smallest figure: the epoch of a run keeps later ones from sending.
      scaleAndConcurrency: { maximumInstanceCount: 1, instanceMemoryMB: 2048 }
      runtime: { name: 'python', version: pythonVersion }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.properties.clientId
      AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
      AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
      AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
      APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
      AzureFunctionsJobHost__functionTimeout: '00:30:00'
      AZURE_TENANT_ID: tenantId
      GRAPHKIT_AUTH: 'managed-identity'
      GRAPHKIT_MANAGED_IDENTITY_CLIENT_ID: identity.properties.clientId
      GRAPHKIT_RUNS_DIR: mountPath
      GRAPHKIT_FUNCTIONS_RECIPES: join(recipes, ',')
      GRAPHKIT_FUNCTIONS_APPLY: applies ? '1' : '0'
      GRAPHKIT_FUNCTIONS_DRIFT_DIR: '${mountPath}/drift'
      GRAPHKIT_FUNCTIONS_DRIFT_SCHEDULE: driftSchedule
      GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE: '0'
      GRAPHKIT_BREAK_GLASS: join(breakGlass, ',')
    }
    dependsOn: [storageAccess, insightsAccess]
  }

  resource mounts 'config' = {
    name: 'azurestorageaccounts'
    properties: {
      runs: {
        type: 'AzureFiles'
        accountName: runs.name
        shareName: shareName
        mountPath: mountPath
        accessKey: runs.listKeys().keys[0].value
      }
    }
    dependsOn: [runs::files::share]
  }
}

output app string = app.name
output address string = 'https://${app.properties.defaultHostName}/api/runs'
output identityClientId string = identity.properties.clientId
output identityPrincipalId string = identity.properties.principalId
