{{/* The name of the operator's Deployment and what belongs to it; as short as serving's. */}}
{{- define "mlplat.operator.name" -}}
{{- include "mlplat.name" (list . "operator" 46) -}}
{{- end -}}

{{/* Names of what is in no namespace, or beside those of other releases in one: with the release's namespace. Roles may have
     253 characters. */}}
{{- define "mlplat.operator.roleName" -}}
{{- printf "%s-%s" .Release.Namespace (include "mlplat.operator.name" .) -}}
{{- end -}}

{{/* The namespaces that it watches, separated by commas; * for all. */}}
{{- define "mlplat.operator.namespaces" -}}
{{- .Values.operator.watchNamespaces | default (list .Release.Namespace) | join "," -}}
{{- end -}}

{{/* Where ModelDeployments may be, as far as the values name it: a YAML list. */}}
{{- define "mlplat.operator.whereabouts" -}}
{{- $named := without (.Values.operator.watchNamespaces | default list) "*" -}}
{{- toYaml (empty $named | ternary (list .Release.Namespace) $named) -}}
{{- end -}}

{{/* Annotation of what the pods of ModelDeployments need of the release, while they outlive it. */}}
{{- define "mlplat.operator.keep" -}}
{{- if and .Values.operator.enabled .Values.operator.crds.keep -}}
helm.sh/resource-policy: keep
{{- end -}}
{{- end -}}

{{/* Labels of the pods of all ModelDeployments: children.py makes them. */}}
{{- define "mlplat.operator.podsOfModels" -}}
app.kubernetes.io/name: model-deployment
app.kubernetes.io/component: inference-server
{{- end -}}

{{/* What it may do where ModelDeployments are. It deletes no budget itself, but where the API server guards owner references
     (OwnerReferencesPermissionEnforcement) only who may delete an object may say whose it is. Pods are listed to
     say why one is late, and to ask those of a canary for their metrics. */}}
{{- define "mlplat.operator.rules" -}}
- apiGroups: [mlplat.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [mlplat.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* The serving manifests of a release, rendered once more with all that a ModelDeployment may have. A registry is called by a
     name that other namespaces know, too. */}}
{{- define "mlplat.operator.base" -}}
{{- $on := dict "enabled" true -}}
{{- $budget := dict "enabled" (not (include "mlplat.oneNode" (list . "inference-server"))) -}}
{{- $serving := mergeOverwrite (deepCopy .Values.serving) (dict "enabled" true "autoscaling" $on "httpRoute" $on "podDisruptionBudget" $budget) -}}
{{- $values := mergeOverwrite (.Values | toYaml | fromYaml) (dict "serving" $serving "model" (dict "name" "model" "version" "-" "alias" "")) -}}
{{- if include "mlplat.throughRegistry" (list . "inference-server") -}}
{{- $url := printf "http://%s.%s:%d" (include "mlplat.registry.name" .) .Release.Namespace (int .Values.registry.service.port) -}}
{{- $_ := set $values "store" (mergeOverwrite $values.store (dict "through" "direct" "url" $url "existingSecret" "")) -}}
{{- $_ := set $values.store "env" dict -}}
{{- end -}}
{{- $root := dict "Values" $values "Release" .Release "Chart" .Chart "Template" .Template "Files" .Files -}}
{{- range list "configmap" "deployment" "service" "hpa" "pdb" "httproute" }}
---
{{ include (printf "%s/serving/%s.yaml" $.Template.BasePath .) $root }}
{{- end -}}
{{- end -}}
