{{/* The name of the operator's Deployment and what belongs to it; as short as serving's. */}}
{{- define "mlplat.operator.name" -}}
{{- include "mlplat.name" (list . "operator" 46) -}}
{{- end -}}

{{/* Names of what is in no namespace, or beside those of other releases in one: with the release's namespace. */}}
{{- define "mlplat.operator.roleName" -}}
{{- printf "%s-%s" .Release.Namespace (include "mlplat.operator.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The namespaces that it watches, separated by commas; * for all. */}}
{{- define "mlplat.operator.namespaces" -}}
{{- .Values.operator.watchNamespaces | default (list .Release.Namespace) | join "," -}}
{{- end -}}

{{/* What it may do where ModelDeployments are. */}}
{{- define "mlplat.operator.rules" -}}
- apiGroups: [mlplat.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [mlplat.dev]
  resources: [modeldeployments/status]
  verbs: [get, patch]
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
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* The serving manifests of a release, rendered once more with all that a ModelDeployment may have. */}}
{{- define "mlplat.operator.base" -}}
{{- $on := dict "enabled" true -}}
{{- $budget := dict "enabled" (not (include "mlplat.oneNode" (list . "inference-server"))) -}}
{{- $serving := mergeOverwrite (deepCopy .Values.serving) (dict "enabled" true "autoscaling" $on "podDisruptionBudget" $budget) -}}
{{- $values := mergeOverwrite (.Values | toYaml | fromYaml) (dict "serving" $serving "model" (dict "name" "model" "version" "-" "alias" "")) -}}
{{- $root := dict "Values" $values "Release" .Release "Chart" .Chart "Template" .Template "Capabilities" .Capabilities "Files" .Files -}}
{{- range list "configmap" "deployment" "service" "hpa" "pdb" }}
---
{{ include (printf "%s/serving/%s.yaml" $.Template.BasePath .) $root }}
{{- end -}}
{{- end -}}
