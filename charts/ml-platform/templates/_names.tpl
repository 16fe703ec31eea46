{{/* The base of all names: the release, with the chart's name unless the release has it in its own. */}}
{{- define "mlplat.base" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $chart -}}
{{- end -}}
{{- end -}}

{{/* A name: (list $ suffix limit). What is too long is cut from the base and gets a hash of it; the suffix stays whole. */}}
{{- define "mlplat.name" -}}
{{- $base := include "mlplat.base" (index . 0) -}}
{{- $suffix := ternary "" (printf "-%s" (index . 1)) (empty (index . 1)) -}}
{{- $room := sub (index . 2) (len $suffix) | int -}}
{{- if gt (len $base) $room -}}
{{- $base = printf "%s-%s" ($base | trunc (sub $room 9 | int) | trimSuffix "-") ($base | sha256sum | trunc 8) -}}
{{- end -}}
{{- printf "%s%s" $base $suffix -}}
{{- end -}}

{{/* The name of the serving Deployment, its Service and what belongs to them. Its pods are called NAME-TEMPLATE-POD, with
     10 and 5 characters; of more than 63 Kubernetes cuts some, and what looks for NAME-... would find them no more. */}}
{{- define "mlplat.fullname" -}}
{{- include "mlplat.name" (list . "" 46) -}}
{{- end -}}

{{/* The name of the registry's Deployment, its Service and what belongs to them; as short as serving's. */}}
{{- define "mlplat.registry.name" -}}
{{- include "mlplat.name" (list . "registry" 46) -}}
{{- end -}}

{{- define "mlplat.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "mlplat.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "mlplat.claimName" -}}
{{- .Values.store.pvc.existingClaim | default (include "mlplat.name" (list . "store" 63)) -}}
{{- end -}}

{{- define "mlplat.keysSecretName" -}}
{{- .Values.auth.existingSecret | default (include "mlplat.name" (list . "api-keys" 63)) -}}
{{- end -}}

{{/* The model's name: given, or the recipe's. */}}
{{- define "mlplat.model" -}}
{{- .Values.model.name | default .Values.model.recipe -}}
{{- end -}}

{{/* What serves, for people: "v1", or "@champion". */}}
{{- define "mlplat.served" -}}
{{- if .Values.model.alias -}}@{{ .Values.model.alias }}{{- else -}}{{ .Values.model.version }}{{- end -}}
{{- end -}}

{{/* What selectors hold: (list $ component). Never changes. */}}
{{- define "mlplat.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object: (list $ component), or (list $ component extra). The chart's own win over those that are given:
     selectors hold them. */}}
{{- define "mlplat.labels" -}}
{{- $root := index . 0 -}}
{{- $extra := ternary (last .) dict (gt (len .) 2) | default dict -}}
{{- $own := dict
    "app.kubernetes.io/part-of" "ml-platform"
    "app.kubernetes.io/version" $root.Chart.AppVersion
    "app.kubernetes.io/managed-by" $root.Release.Service
    "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63)
-}}
{{- toYaml (mergeOverwrite (dict) ($root.Values.commonLabels | default dict) $extra $own (include "mlplat.selector" . | fromYaml)) -}}
{{- end -}}

{{/* Labels of a pod: (list $ component extra). Nothing that changes with the chart's version. The chart's own win over those
     that are given: selectors hold them. */}}
{{- define "mlplat.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/part-of" "ml-platform" "component" (index . 1) -}}
{{- $model := include "mlplat.model" $root | replace ":" "." | trunc 63 | trimAll "-._" -}}
{{- $own = merge $own (ternary dict (dict "model-name" $model) (has (index . 1) (list "registry" "operator"))) -}}
{{- $claim := include "mlplat.claimLabel" . | fromYaml -}}
{{- $given := mergeOverwrite (dict) ($root.Values.commonLabels | default dict) (index . 2 | default dict) -}}
{{- toYaml (mergeOverwrite $given $own $claim (include "mlplat.selector" . | fromYaml)) -}}
{{- end -}}
